// What Grafana puts in the place of variables: those of the dashboard, and those of the row that a link is in.
'use strict';
const { data } = require('./grafana.cjs');

const strictly = (encoded) =>
  encoded.replace(/[!'()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`);

const FORMATS = {
  percentencode: (values) => strictly(encodeURIComponent(values.length === 1 ? values[0] : `{${values}}`)),
  queryparam: (values, name) => values.map((value) => `var-${name}=${strictly(encodeURIComponent(value))}`).join('&'),
  raw: (values) => `${values}`,
  text: (values) => values.join(' + '),
  uriencode: (values) => strictly(encodeURI(values.length === 1 ? values[0] : `{${values}}`)),
};

/** Returns what `${__data.fields.NAME}` is, as a person sees it in the same row; nothing where there is nothing. */
function fieldOfRow(context, name) {
  const { frame, rowIndex } = context.value;
  const shown = data.getFieldDisplayValuesProxy({ frame, rowIndex })[name];
  return shown === undefined ? '' : shown.toString();
}

/**
 * Returns the function that Grafana calls to fill in variables.
 *
 * @param variables name → list of values, as they stand in the address bar.
 */
exports.replacing = (variables) => (text, scoped, format = 'raw') =>
  text.replace(/\$\{([\w.]+)(?::(\w+))?\}|\$(\w+)/g, (whole, braced, own, plain) => {
    const name = braced ?? plain;
    if (name === '__url_time_range') return scoped.__url_time_range?.value ?? 'from=now-1h&to=now';
    const values = name.startsWith('__data.fields.')
      ? [fieldOfRow(scoped.__dataContext, name.slice('__data.fields.'.length))]
      : variables[name];
    if (values === undefined) throw new Error(`nobody knows the variable ${name} in ${text}`);
    const formatted = FORMATS[own ?? format];
    if (formatted === undefined) throw new Error(`nobody knows the format of ${whole}`);
    return formatted(values, name);
  });
