// What stands on the page while a training cell runs: progress, curves, newest values, buttons and sliders.
//
// All of it comes in one message, so that text, values and curves tell of the same step. What a person does goes back as
// a message of its own: {do: 'pause' | 'resume' | 'stop' | 'log' | 'tune' | 'look', ...}.

const ends = slider => (slider.log ? [Math.log10(slider.low), Math.log10(slider.high)] : [slider.low, slider.high]);

const drawValues = (host, values) => {
  host.replaceChildren();
  if (!values.columns?.length) return;
  const table = element(host, 'table');
  const head = element(table, 'tr');
  for (const name of values.columns) element(head, 'th', '', name);
  for (const row of values.rows) {
    const line = element(table, 'tr');
    for (const cell of row) element(line, 'td', '', cell);
  }
  if (values.more) element(host, 'div', '', `and ${values.more.toLocaleString('en')} more rows`);
};

const makeSlider = (host, slider, tune) => {
  const [low, high] = ends(slider);
  const row = element(host, 'label', 'sqlmagic-xr-slider');
  element(row, 'span', '', slider.name);
  const track = element(row, 'input');
  Object.assign(track, { type: 'range', min: 0, max: 1000, step: 1 });
  const field = element(row, 'input');
  Object.assign(field, { type: 'text', inputMode: 'decimal' });
  const move = value => (track.value = String(Math.round((((slider.log ? Math.log10(value) : value) - low) / (high - low)) * 1000)));
  let last = slider.value;
  const write = value => (field.value = String(Number((last = value).toPrecision(6))));
  move(slider.value);
  write(slider.value);
  track.addEventListener('input', () => {
    const place = low + (Number(track.value) / 1000) * (high - low);
    // Three digits, so that it reads as a person would say it; the ends are as they were given.
    const rounded = Number((slider.log ? 10 ** place : place).toPrecision(3));
    const value = Math.min(Math.max(rounded, slider.low), slider.high);
    write(value);
    tune(slider.name, value);
  });
  field.addEventListener('change', () => {
    const typed = Number(field.value.trim());
    if (field.value.trim() === '' || !Number.isFinite(typed)) return write(last);
    const value = Math.min(Math.max(typed, slider.low), slider.high);
    write(value);
    move(value);
    tune(slider.name, value);
  });
};

export default {
  render({ model, el }) {
    const send = message => model.send(message);
    const box = element(el, 'div', 'sqlmagic-xr-run');
    const progress = element(box, 'div', 'sqlmagic-xr-progress');
    const bar = element(progress, 'progress');
    const said = element(progress, 'span', 'sqlmagic-xr-said');
    const chart = new Chart(box, (panel, range) => send({ do: 'look', panel, range }));
    const values = element(box, 'div', 'sqlmagic-xr-values');
    const buttons = element(box, 'div', 'sqlmagic-xr-buttons');
    const pause = element(buttons, 'button', '', 'Pause');
    const stop = element(buttons, 'button', '', 'Stop');
    const log = element(buttons, 'button', '', 'log y');
    for (const button of [pause, stop, log]) button.type = 'button';
    stop.title = 'End after the step in progress';
    const sliders = element(box, 'div');
    const showSliders = () => {
      sliders.replaceChildren();
      for (const slider of model.get('sliders')) makeSlider(sliders, slider, (name, value) => send({ do: 'tune', name, value }));
    };

    let scale = model.get('log');
    pause.addEventListener('click', () => {
      send({ do: model.get('paused') ? 'resume' : 'pause' });
    });
    stop.addEventListener('click', () => {
      stop.disabled = true;
      send({ do: 'stop' });
    });
    log.addEventListener('click', () => {
      scale = !scale;
      send({ do: 'log', value: scale });
      show();
    });

    const show = () => {
      const shown = model.get('shown');
      bar.hidden = shown.steps === null; // nobody knows how many there will be
      bar.max = Math.max(shown.steps ?? 1, 1);
      bar.value = shown.step;
      said.textContent = shown.said;
      drawValues(values, shown.values);
      chart.show(shown.panels, scale);
      log.hidden = !shown.panels.length;
      log.setAttribute('aria-pressed', String(scale));
      box.dataset.step = shown.step; // what the picture shows
    };
    const showPaused = () => {
      pause.textContent = model.get('paused') ? 'Resume' : 'Pause';
    };
    model.on('change:shown', show);
    model.on('change:paused', showPaused);
    model.on('change:sliders', showSliders); // which come when the run has been planned
    show();
    showSliders();
    showPaused();
    return () => {
      model.off('change:shown', show);
      model.off('change:paused', showPaused);
      model.off('change:sliders', showSliders);
      chart.close();
    };
  }
};
