// What Grafana makes of Prometheus' answers: transformations, overrides, texts, colours and links, by Grafana's own code.
'use strict';

// @grafana/data expects a browser. react-use looks for one only while it is loaded, and then wants all of it.
require('react-use');
globalThis.window = { addEventListener() {}, location: { origin: 'http://grafana.example.com' } };
Object.defineProperty(globalThis, 'navigator', { value: { languages: ['en'], userAgent: 'node' } });
const data = require('@grafana/data');

const transformations = new Map(Object.values(data.standardTransformers).map((each) => [each.id, each]));
data.standardTransformersRegistry.setInit(() =>
  [...transformations].map(([id, transformation]) => ({ id, name: id, transformation })),
);
data.locationUtil.initialize({
  config: { appSubUrl: '' },
  getVariablesUrlParams: () => ({}),
  getTimeRangeForUrl: () => ({ from: 'now-1h', to: 'now' }),
});

exports.data = data;
exports.transformations = new Set(transformations.keys());
