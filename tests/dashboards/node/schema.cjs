// Whether Grafana would understand a dashboard: its types as a JSON Schema, and the ids that it knows.
'use strict';
const path = require('node:path');
const Ajv = require('ajv').default;
const { createGenerator } = require('ts-json-schema-generator');
const { data, transformations } = require('./grafana.cjs');

const schema = createGenerator({
  path: path.join(__dirname, 'types.ts'),
  tsconfig: path.join(__dirname, 'tsconfig.json'),
  skipTypeCheck: true,
  additionalProperties: false,
}).createSchema('*');
const ajv = new Ajv({ strict: false, allErrors: true, schemas: [{ ...schema, $id: 'grafana' }] });

const KINDS = {
  bargauge: 'BarGauge',
  row: 'Row',
  stat: 'Stat',
  'state-timeline': 'StateTimeline',
  table: 'Table',
  text: 'Text',
  timeseries: 'TimeSeries',
};

const UNITS = new Set(data.getValueFormats().flatMap((category) => category.submenu.map((format) => format.value)));
const MATCHERS = new Set(data.fieldMatchers.list().map((matcher) => matcher.id));
const FIELD_PROPERTIES = new Set(Object.values(data.FieldConfigProperty));

function* wrong(type, value, where) {
  const validate = ajv.getSchema(`grafana#/definitions/${type}`);
  if (validate(value)) return;
  for (const error of validate.errors) {
    const what = error.params.additionalProperty ?? error.params.allowedValues ?? '';
    yield `${where}${error.instancePath}: ${error.message} ${JSON.stringify(what)}`;
  }
}

/** Put the properties of an override together as the field configuration that they make. */
function configured(properties) {
  const field = {};
  for (const { id, value } of properties) {
    if (id.startsWith('custom.')) (field.custom ??= {})[id.slice('custom.'.length)] = value;
    else field[id] = value;
  }
  return field;
}

function* unitsOf(panel) {
  yield panel.fieldConfig?.defaults?.unit;
  for (const { properties } of panel.fieldConfig?.overrides ?? []) {
    for (const { id, value } of properties) if (id === 'unit') yield value;
  }
}

function* problemsOfPanel(panel) {
  const where = `panel “${panel.title}”`;
  const kind = KINDS[panel.type];
  if (kind === undefined) {
    yield `${where}: unknown type ${panel.type}`;
    return;
  }
  yield* wrong(`${kind}Panel`, panel, where);
  for (const { matcher, properties } of panel.fieldConfig?.overrides ?? []) {
    if (!MATCHERS.has(matcher.id)) yield `${where}: unknown matcher ${matcher.id}`;
    for (const { id } of properties) {
      if (!id.startsWith('custom.') && !FIELD_PROPERTIES.has(id)) yield `${where}: unknown override id ${id}`;
    }
    yield* wrong(`${kind}Field`, configured(properties), `${where}, override of ${matcher.options}`);
  }
  for (const unit of unitsOf(panel)) {
    if (unit !== undefined && !UNITS.has(unit)) yield `${where}: unknown unit ${unit}`;
  }
  for (const { id } of panel.transformations ?? []) {
    if (!transformations.has(id)) yield `${where}: unknown transformation ${id}`;
  }
}

/** Returns what is wrong with a dashboard, a sentence each. */
exports.problems = (dashboard) => [
  ...wrong('File', dashboard, 'dashboard'),
  ...(dashboard.panels ?? []).flatMap((panel) => [...problemsOfPanel(panel)]),
];
