// What the dashboards' JSON has to be, in Grafana's own types; schema.cjs turns them into a JSON Schema.
// Grafana fills in options that are left out, so every option is optional here, but none may be unknown.

import type * as grafana from '@grafana/schema';
import type * as dashboard from '@grafana/schema/dist/types/raw/dashboard/x/dashboard_types.gen';
import type * as bargauge from '@grafana/schema/dist/types/raw/composable/bargauge/panelcfg/x/BarGaugePanelCfg_types.gen';
import type * as stat from '@grafana/schema/dist/types/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen';
import type * as timeline from '@grafana/schema/dist/types/raw/composable/statetimeline/panelcfg/x/StateTimelinePanelCfg_types.gen';
import type * as table from '@grafana/schema/dist/types/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen';
import type * as text from '@grafana/schema/dist/types/raw/composable/text/panelcfg/x/TextPanelCfg_types.gen';
import type * as timeseries from '@grafana/schema/dist/types/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen';

interface DataSource {
  type: 'prometheus';
  uid: string;
}

/** The Prometheus data source's query; its types are not part of @grafana/schema. */
interface Target {
  datasource: DataSource;
  editorMode: 'code';
  expr: string;
  format: 'table' | 'time_series';
  instant: boolean;
  legendFormat: string;
  range: boolean;
  refId: string;
}

/** The Prometheus data source adds its own fields to an annotation. */
interface Annotation extends Omit<dashboard.AnnotationQuery, 'target'> {
  datasource: DataSource;
  expr: string;
  step: string;
  textFormat: string;
  titleFormat: string;
}

interface Variable extends dashboard.VariableModel {
  name: string;
  label: string;
  definition?: string;
}

interface Link {
  title: string;
  url: string;
  targetBlank: boolean;
  oneClick: boolean;
}

type Field<Custom> = Partial<Omit<dashboard.FieldConfig, 'custom' | 'links'>> & { custom?: Partial<Custom>; links?: Link[] };

interface Placed {
  id: number;
  title: string;
  gridPos: { x: number; y: number; w: number; h: number };
}

interface Shown<Kind extends string, Options, Custom> extends Placed {
  type: Kind;
  description: string;
  options: Partial<Options>;
  datasource: DataSource;
  targets: Target[];
  fieldConfig: {
    defaults: Field<Custom>;
    overrides: Array<{ matcher: { id: string; options: string }; properties: Array<{ id: string; value: unknown }> }>;
  };
  transformations?: dashboard.DataTransformerConfig[];
}

interface Text extends Placed {
  type: 'text';
  description: string;
  options: text.Options;
}

interface Row extends Placed {
  type: 'row';
  collapsed: boolean;
  panels: [];
}

export type StatField = Field<Record<string, never>>;
export type BarGaugeField = Field<Record<string, never>>;
export type TableField = Field<grafana.TableFieldOptions>;
export type TimeSeriesField = Field<grafana.GraphFieldConfig>;
export type StateTimelineField = Field<timeline.FieldConfig>;

export type StatPanel = Shown<'stat', stat.Options, Record<string, never>>;
export type BarGaugePanel = Shown<'bargauge', bargauge.Options, Record<string, never>>;
export type TablePanel = Shown<'table', table.Options, grafana.TableFieldOptions>;
export type TimeSeriesPanel = Shown<'timeseries', timeseries.Options, grafana.GraphFieldConfig>;
export type StateTimelinePanel = Shown<'state-timeline', timeline.Options, timeline.FieldConfig>;
export type TextPanel = Text;
export type RowPanel = Row;

export interface File extends Omit<dashboard.Dashboard, 'panels' | 'annotations' | 'templating'> {
  uid: string;
  title: string;
  panels: Array<Record<string, unknown>>;
  annotations: { list: Annotation[] };
  templating: { list: Variable[] };
}
