// SQL colours in cells that begin with %%xsql or %%xsql_train, for JupyterLab 4 and Notebook 7.
//
// This file is a module-federation container written by hand, so that the project needs no npm and no build step: the
// front end loads it, hands its shared modules to init(), and asks get("./extension") for the plugin.
(() => {
  const NAME = 'sqlmagic-xr';
  const SQL = 'text/x-sql';
  const SQL_CELL = /^\s*%%xsql(_train)?(?!\w)/;

  // What a cell was taken for before it became SQL, so that it can be given back.
  const before = new WeakMap();
  const watched = new WeakSet();

  const colour = cell => {
    const isSql = SQL_CELL.test(cell.sharedModel.getSource());
    if (isSql && cell.mimeType !== SQL) {
      before.set(cell, cell.mimeType);
      cell.mimeType = SQL;
    } else if (!isSql && before.has(cell)) {
      cell.mimeType = before.get(cell);
      before.delete(cell);
    }
  };

  const watchCell = cell => {
    if (cell.type !== 'code' || watched.has(cell)) return;
    watched.add(cell);
    cell.contentChanged.connect(colour);
    cell.mimeTypeChanged.connect(colour); // the notebook sets it again once it knows the kernel's language
    colour(cell);
  };

  const watchNotebook = notebook => {
    if (!notebook.model) return;
    const watchCells = () => {
      for (const cell of notebook.model?.cells ?? []) watchCell(cell);
    };
    notebook.model.cells.changed.connect(watchCells);
    watchCells();
  };

  const watchPanel = panel => {
    panel.content.modelChanged.connect(watchNotebook);
    watchNotebook(panel.content);
  };

  const plugin = INotebookTracker => ({
    id: `${NAME}:highlight`,
    description: 'Colours %%xsql and %%xsql_train cells as SQL.',
    autoStart: true,
    requires: [INotebookTracker],
    activate: (app, tracker) => {
      tracker.forEach(watchPanel);
      tracker.widgetAdded.connect((_, panel) => watchPanel(panel));
    }
  });

  let shared;
  const sharedModule = async name => (await Object.values(shared[name])[0].get())();

  window._JUPYTERLAB = window._JUPYTERLAB || {};
  window._JUPYTERLAB[NAME] = {
    init: async scope => {
      shared = scope;
    },
    get: async module => {
      if (module !== './extension') throw new Error(`${NAME} has no module ${module}`);
      const { INotebookTracker } = await sharedModule('@jupyterlab/notebook');
      return () => ({ default: plugin(INotebookTracker), __esModule: true });
    }
  };
})();
