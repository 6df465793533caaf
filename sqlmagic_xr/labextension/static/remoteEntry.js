// SQL colours in cells that begin with %%xsql or %%xsql_train, and behind %xsql in a line, for JupyterLab 4 and Notebook 7.
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

  // --- %xsql SELECT ... in a line of a Python cell: the editor's own Python colours stay around it.

  const LINE = /^\s*(?:\w+\s*=\s*)?%xsql\s/;
  const WORDS = new Set(
    ('select from where group by order having limit offset distinct as and or not in is null between like ilike exists case ' +
      'when then else end join inner left right full cross on using union all except intersect with recursive over ' +
      'partition filter asc desc cast interval true false create replace table view insert into values update set delete ' +
      'merge returning drop alter explain describe show copy to summarize pivot unpivot lateral').split(' ')
  );
  const TOKEN = /'(?:[^']|'')*'|"[^"]*"|--(?= ).*|\b\d+(?:\.\d+)?(?:[eE][-+]?\d+)?\b|[A-Za-z_]\w*/g;
  const LOOKS = {
    keyword: 'color: var(--jp-mirror-editor-keyword-color); font-weight: bold; font-style: normal',
    string: 'color: var(--jp-mirror-editor-string-color); font-weight: normal; font-style: normal',
    number: 'color: var(--jp-mirror-editor-number-color); font-weight: normal; font-style: normal',
    plain: 'color: var(--jp-mirror-editor-variable-color); font-weight: normal; font-style: normal'
  };

  const lookOf = word => {
    if (word[0] === "'") return 'string';
    if (/^\d/.test(word)) return 'number';
    return WORDS.has(word.toLowerCase()) ? 'keyword' : word.startsWith('--') ? '' : 'plain';
  };

  const lines = (view, state) => {
    const marks = Object.fromEntries(
      Object.entries(LOOKS).map(([name, style]) => [name, view.Decoration.mark({ attributes: { style, class: `sqlmagic-xr-${name}` } })])
    );
    const decorated = editor => {
      const builder = new state.RangeSetBuilder();
      for (const { from, to } of editor.visibleRanges) {
        for (let at = from; at <= to; ) {
          const line = editor.state.doc.lineAt(at);
          const head = LINE.exec(line.text);
          if (head) {
            TOKEN.lastIndex = head[0].length;
            for (let found; (found = TOKEN.exec(line.text)); ) {
              const look = lookOf(found[0]);
              if (look) builder.add(line.from + found.index, line.from + found.index + found[0].length, marks[look]);
            }
          }
          at = line.to + 1;
        }
      }
      return builder.finish();
    };
    const plugin = view.ViewPlugin.fromClass(
      class {
        constructor(editor) {
          this.decorations = decorated(editor);
        }
        update(change) {
          if (change.docChanged || change.viewportChanged) this.decorations = decorated(change.view);
        }
      },
      { decorations: value => value.decorations }
    );
    return state.Prec.highest(plugin); // the inner of two marks is the one that is seen
  };

  const linePlugin = (codemirror, view, state) => ({
    id: `${NAME}:lines`,
    description: 'Colours the SQL behind %xsql.',
    autoStart: true,
    requires: [codemirror.IEditorExtensionRegistry],
    activate: (app, registry) => {
      const extension = lines(view, state);
      registry.addExtension(
        Object.freeze({
          name: `${NAME}:lines`,
          factory: () => codemirror.EditorExtensionRegistry.createImmutableExtension(extension)
        })
      );
    }
  });

  // --- MINIMIZE and its clauses, PIVOT and its like, in cells that are SQL already: the front end's SQL has not these words.

  const CLAUSES = /\b(?:MINIMIZE|MAXIMIZE|OVER|PER|USING|BATCH)\b/gi;
  const MINIMIZES = /\b(?:MINIMIZE|MAXIMIZE)\b/i;
  const SHORT = /\b(?:(?:UN)?PIVOT(?=\s*[\w"'(])|SUMMARIZE(?=\s+[\w"'(])|(?:SEMI|ANTI)(?=\s+JOIN\b)|(?<=\bUSING\s+)SAMPLE)\b/gi;
  const APART = /String|Comment|Quoted/; // within these a word is none of ours

  const words = (view, state, language) => {
    const mark = view.Decoration.mark({ attributes: { style: LOOKS.keyword, class: 'sqlmagic-xr-keyword' } });
    const decorated = editor => {
      const text = editor.state.doc.toString();
      if (!SQL_CELL.test(text)) return view.Decoration.none;
      const tree = language.syntaxTree(editor.state);
      const ours = [...text.matchAll(MINIMIZES.test(text) ? CLAUSES : SHORT)];
      const found = ours.filter(({ index }) => !APART.test(tree.resolveInner(index, 1).name));
      return view.Decoration.set(found.map(({ 0: word, index }) => mark.range(index, index + word.length)));
    };
    const plugin = view.ViewPlugin.fromClass(
      class {
        constructor(editor) {
          this.decorations = decorated(editor);
        }
        update(change) {
          const parsed = language.syntaxTree(change.startState) !== language.syntaxTree(change.state);
          if (change.docChanged || parsed) this.decorations = decorated(change.view);
        }
      },
      { decorations: value => value.decorations }
    );
    return state.Prec.highest(plugin);
  };

  const wordsPlugin = (codemirror, view, state, language) => ({
    id: `${NAME}:words`,
    description: 'Colours MINIMIZE, PIVOT and their like.',
    autoStart: true,
    requires: [codemirror.IEditorExtensionRegistry],
    activate: (app, registry) => {
      const extension = words(view, state, language);
      registry.addExtension(
        Object.freeze({
          name: `${NAME}:words`,
          factory: () => codemirror.EditorExtensionRegistry.createImmutableExtension(extension)
        })
      );
    }
  });

  // --- Completion: what the kernel offers, in its order of kinds.
  //
  // The menu sorts by how well a label matches and then by the alphabet, so that `WHERE c` would begin with cardinality.
  // A mark of no width before the names of functions and keywords makes columns, tables and aliases match better.

  const ASKS = /^\s*(?:%%xsql|(?:\w+\s*=\s*)?%xsql\s)/m;
  const MARK = '\u200b';

  const completions = {
    identifier: `${NAME}:completion`,
    rank: 1000, // before the kernel's own, whose copies are dropped
    renderer: null,
    isApplicable: async context =>
      Boolean(context.session?.kernel) && ASKS.test(context.editor?.model.sharedModel.getSource() ?? ''),
    fetch: async (request, context) => {
      const cursor_pos = [...request.text.slice(0, request.offset)].length;
      const { content } = await context.session.kernel.requestComplete({ code: request.text, cursor_pos });
      const types = content.metadata?._jupyter_types_experimental ?? [];
      const items = (content.matches ?? []).map((text, i) => {
        const type = types[i]?.type ?? '';
        const later = !type || type.startsWith('(') || type === 'keyword';
        return { label: later ? MARK + text : text, type, insertText: text };
      });
      return { start: content.cursor_start ?? request.offset, end: content.cursor_end ?? request.offset, items };
    }
  };

  const completionPlugin = completer => ({
    id: `${NAME}:completion`,
    description: 'Offers columns before functions.',
    autoStart: true,
    requires: [completer.ICompletionProviderManager],
    activate: (app, manager) => manager.registerProvider(completions)
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
      const plugins = [plugin(INotebookTracker)];
      const optional = [
        [linePlugin, ['@jupyterlab/codemirror', '@codemirror/view', '@codemirror/state']],
        [wordsPlugin, ['@jupyterlab/codemirror', '@codemirror/view', '@codemirror/state', '@codemirror/language']],
        [completionPlugin, ['@jupyterlab/completer']]
      ];
      for (const [make, names] of optional) {
        try {
          plugins.push(make(...(await Promise.all(names.map(sharedModule)))));
        } catch (error) {
          console.warn(`${NAME}: ${names[0]} is not shared`, error); // a front end of another making
        }
      }
      return () => ({ default: plugins, __esModule: true });
    }
  };
})();
