// What a panel shows of Prometheus' answers.
'use strict';
const { firstValueFrom } = require('rxjs');
const { data } = require('./grafana.cjs');
const { replacing } = require('./variables.cjs');

const PROCESSORS = {
  unit: data.unitOverrideProcessor,
  decimals: data.numberOverrideProcessor,
  min: data.numberOverrideProcessor,
  max: data.numberOverrideProcessor,
  displayName: data.displayNameOverrideProcessor,
  mappings: data.valueMappingsOverrideProcessor,
  thresholds: data.thresholdsOverrideProcessor,
  links: data.dataLinksOverrideProcessor,
  color: data.identityOverrideProcessor,
};

/** Returns the registry of the properties that a panel sets; Grafana has one for each kind of panel. */
function registryOf(panel) {
  const custom = new Set(Object.keys(panel.fieldConfig.defaults.custom ?? {}).map((key) => `custom.${key}`));
  for (const { properties } of panel.fieldConfig.overrides) {
    for (const { id } of properties) if (id.startsWith('custom.')) custom.add(id);
  }
  const standard = Object.entries(PROCESSORS).map(([id, process]) => ({ id, path: id, name: id, process }));
  const own = [...custom].map((id) => ({
    id,
    path: id.slice('custom.'.length),
    name: id,
    isCustom: true,
    process: data.identityOverrideProcessor,
  }));
  const rest = { override: undefined, shouldApply: () => true, settings: {} };
  return new data.FieldConfigOptionsRegistry(() => [...standard, ...own].map((item) => ({ ...rest, ...item })));
}

/** Returns rows as the data source makes them of an answer in the form `table`: time, labels in order, and the value. */
function tableOf(answer, valueName) {
  const labels = [];
  for (const series of answer.series) {
    for (const label of Object.keys(series.labels).sort()) if (!labels.includes(label)) labels.push(label);
  }
  const field = (name, type, values) => ({ name, type, config: {}, values });
  return {
    refId: answer.refId,
    length: answer.series.length,
    fields: [
      field('Time', data.FieldType.time, answer.series.map((series) => series.points[0][0])),
      ...labels.map((label) => field(label, data.FieldType.string, answer.series.map((series) => series.labels[label] ?? ''))),
      field(valueName, data.FieldType.number, answer.series.map((series) => series.points[0][1])),
    ],
  };
}

function legendOf(format, labels) {
  return format === '__auto' ? undefined : format.replace(/\{\{\s*(\w+)\s*\}\}/g, (_, label) => labels[label] ?? '');
}

function seriesOf(answer, target) {
  return answer.series.map((series) => ({
    refId: answer.refId,
    length: series.points.length,
    fields: [
      { name: 'Time', type: data.FieldType.time, config: {}, values: series.points.map(([time]) => time) },
      {
        name: 'Value',
        type: data.FieldType.number,
        labels: series.labels,
        config: { displayNameFromDS: legendOf(target.legendFormat, series.labels) },
        values: series.points.map(([, value]) => value),
      },
    ],
  }));
}

function framesOf(panel, answers) {
  const letters = answers.length;
  return answers.flatMap((answer) => {
    const target = panel.targets.find(({ refId }) => refId === answer.refId);
    if (target.format !== 'table') return seriesOf(answer, target);
    return tableOf(answer, letters > 1 ? `Value #${answer.refId}` : 'Value');
  });
}

function sorted(frame, panel) {
  const [sorting] = panel.options.sortBy ?? [];
  if (sorting === undefined) return frame;
  const index = frame.fields.findIndex((field) => data.getFieldDisplayName(field, frame) === sorting.displayName);
  return index < 0 ? frame : data.sortDataFrame(frame, index, sorting.desc);
}

function cellOf(field, row) {
  const value = field.values[row];
  const shown = field.display(value);
  const links = field.getLinks({ valueRowIndex: row });
  return {
    value: value ?? null,
    text: data.formattedValueToString(shown),
    colour: shown.color ?? null,
    links: links.map(({ title, href, target }) => ({ title, href, target: target ?? null })),
  };
}

/**
 * Returns the frames that a panel shows, each with its `columns` from left to right and its `rows`: title → cell.
 *
 * @param answers of each query that has one: `refId` and `series` with `labels` and `points` (milliseconds, value).
 * @param variables name → list of values.
 * @param theme `dark` or `light`.
 */
exports.show = async (panel, answers, variables, theme) => {
  const replaceVariables = replacing(variables);
  const context = { interpolate: (text) => replaceVariables(text, {}) };
  const transformed = await firstValueFrom(
    data.transformDataFrame(panel.transformations ?? [], framesOf(panel, answers), context),
  );
  const frames = data.applyFieldOverrides({
    data: transformed.map((frame) => sorted(frame, panel)),
    fieldConfig: panel.fieldConfig,
    fieldConfigRegistry: registryOf(panel),
    replaceVariables,
    theme: data.createTheme({ colors: { mode: theme } }),
    timeZone: 'utc',
  });
  return frames.map((frame) => {
    const titles = frame.fields.map((field) => data.getFieldDisplayName(field, frame, frames));
    return {
      columns: titles,
      rows: Array.from({ length: frame.length }, (_, row) =>
        Object.fromEntries(frame.fields.map((field, column) => [titles[column], cellOf(field, row)])),
      ),
    };
  });
};
