// Where the ticks of an axis stand, and what they say: numbers, instants in UTC, or names.

const POWERS = '⁰¹²³⁴⁵⁶⁷⁸⁹';

const nice = rough => {
  const power = 10 ** Math.floor(Math.log10(rough));
  return power * ([1, 2, 5].find(m => m * power >= rough * 0.999) ?? 10);
};

const superscript = n => (n < 0 ? '⁻' : '') + [...String(Math.abs(n))].map(d => POWERS[d]).join('');

const powerOfTen = (value, digits) => {
  if (!value) return '0';
  const [mantissa, exponent] = value.toExponential(digits).split('e');
  return `${mantissa.replace('-', '−')}×10${superscript(Number(exponent))}`;
};

// All labels of an axis have as many decimals as its step needs; powers of ten where all digits would not fit.
const plainLabels = (values, step) => {
  const largest = Math.max(...values.map(Math.abs), 0);
  if (largest === 0 || (largest >= 1e-4 && largest < 1e7)) {
    const decimals = Math.max(0, Math.min(12, -Math.floor(Math.log10(step) + 1e-9)));
    return values.map(v => (v + 0).toFixed(decimals).replace(/^-(0\.?0*)$/, '$1').replace('-', '−'));
  }
  const digits = Math.max(0, Math.floor(Math.log10(largest)) - Math.floor(Math.log10(step) + 1e-9));
  return values.map(v => powerOfTen(v, Math.min(digits, 16)));
};

const linearTicks = (low, high, count, whole) => {
  const span = high - low;
  if (!(span > 0) || !Number.isFinite(span)) return [];
  const step = whole ? Math.max(1, nice(span / count)) : nice(span / count);
  const values = [];
  for (let n = Math.ceil(low / step - 1e-9); n * step <= high + 1e-9 * step && values.length < 50; n++) values.push(n * step);
  const labels = plainLabels(values, step);
  // Where doubles are coarser than the step, some labels are the same: one of each is enough.
  return values.map((value, i) => ({ value, label: labels[i] })).filter((tick, i) => tick.label !== labels[i - 1]);
};

// `low` and `high` are values. Decades where there are many, 1-2-5 within a few, round numbers within one.
const logTicks = (low, high) => {
  const [least, most] = [Math.log10(low), Math.log10(high)];
  const decades = most - least;
  if (decades < 1.2) return linearTicks(low, high, 5, false).filter(tick => tick.value > 0);
  const steps = decades > 3.5 ? [1] : decades > 2.2 ? [1, 3] : [1, 2, 5];
  const stride = decades > 3.5 ? [1, 2, 5, 10, 20, 50, 100].find(n => decades / n <= 7) : 1;
  const ticks = [];
  for (let e = stride * Math.floor(least / stride); e <= most; e += stride) {
    for (const m of steps) {
      const value = m * 10 ** e;
      const round = e < -3 || e > 5 || steps.length === 1;
      if (value >= low && value <= high) {
        ticks.push({ value, label: round ? (m === 1 ? '' : `${m}×`) + `10${superscript(e)}` : String(Number(value.toPrecision(3))) });
      }
    }
  }
  return ticks;
};

const [SECOND, MINUTE, HOUR, DAY] = [1e3, 6e4, 36e5, 864e5];
const STEPS = [1, 5, 15, 30].map(n => n * SECOND)
  .concat([1, 5, 15, 30].map(n => n * MINUTE), [1, 3, 6, 12].map(n => n * HOUR), [1, 2, 7, 14].map(n => n * DAY));

const instant = value => new Date(value).toISOString();

// Instants are milliseconds since 1970. Months and years differ in length, so they are counted and not added up.
const timeTicks = (low, high, count) => {
  const span = high - low;
  if (!(span > 0)) return [{ value: low, label: instant(low).slice(0, 10) }];
  const months = span / count / (30.44 * DAY);
  if (months > 0.6) {
    const stride = months > 12 ? 12 * Math.max(1, nice(months / 12)) : [1, 2, 3, 6, 12].find(n => n >= months) ?? 12;
    const start = new Date(low);
    const ticks = [];
    for (let m = Math.floor((start.getUTCFullYear() * 12 + start.getUTCMonth()) / stride) * stride; ticks.length < 50; m += stride) {
      const at = new Date(0);
      at.setUTCFullYear(Math.floor(m / 12), ((m % 12) + 12) % 12, 1);
      if (at.getTime() > high) break;
      if (at.getTime() >= low) ticks.push({ value: at.getTime(), label: at.toISOString().slice(0, stride % 12 ? 7 : 4) });
    }
    return ticks;
  }
  const step = span < 5 * SECOND ? nice(span / count) : STEPS.find(s => s >= span / count) ?? 14 * DAY;
  const ticks = [];
  for (let value = Math.ceil(low / step) * step; value <= high && ticks.length < 50; value += step) {
    const text = instant(value);
    const label = step >= DAY ? text.slice(0, 10) : step >= MINUTE ? text.slice(11, 16) : text.slice(11, step >= SECOND ? 19 : 23);
    ticks.push({ value, label: step < DAY && value % DAY === 0 ? text.slice(5, 10) : label });
  }
  return ticks;
};

const textTicks = (low, high, names, count) => {
  const first = Math.max(0, Math.ceil(low));
  const last = Math.min(names.length - 1, Math.floor(high));
  const stride = Math.max(1, Math.ceil((last - first + 1) / count));
  const ticks = [];
  for (let i = Math.ceil(first / stride) * stride; i <= last; i += stride) ticks.push({ value: i, label: names[i] });
  return ticks;
};
