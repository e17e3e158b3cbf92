// What a PromQL expression consists of, found by the grammar that Prometheus' own interface uses.
'use strict';
const { parser } = require('@prometheus-io/lezer-promql');

// Grafana replaces these before Prometheus sees them; in their place stand ranges that occur nowhere else.
const RANGES = { '$__rate_interval': '61s', '$__range': '3601s' };

const FUNCTIONS_OF_LABELS = new Set(['label_replace', 'label_join']);

function unquote(text) {
  return text[0] === '`' ? text.slice(1, -1) : JSON.parse(`"${text.slice(1, -1)}"`);
}

function selectorOf(node, text) {
  const selector = { name: '', matchers: [], range: null, functions: [] };
  node.cursor().iterate((part) => {
    if (part.name === 'Identifier') selector.name = text(part);
    if (part.name === 'UnquotedLabelMatcher') {
      const [label, operator, value] = [part.node.firstChild, part.node.firstChild.nextSibling, part.node.lastChild];
      selector.matchers.push({ label: text(label), operator: text(operator), value: unquote(text(value)) });
    }
  });
  for (let outer = node.parent; outer; outer = outer.parent) {
    if (outer.name === 'MatrixSelector') {
      const range = text(outer).slice(text(node).length).trim().slice(1, -1);
      const known = Object.entries(RANGES).find(([, replacement]) => replacement === range);
      selector.range = known ? known[0] : range;
    }
    if (outer.name === 'FunctionCall') selector.functions.push(text(outer.firstChild));
    if (outer.name === 'AggregateExpr') selector.functions.push(text(outer.firstChild));
  }
  return selector;
}

/**
 * Returns of each expression its `selectors` (name, matchers, range, enclosing functions from the inside), the
 * `labels` that it groups, matches or rewrites by, the labels that it `makes`, and the `functions` that it calls; or
 * where it is in `error`.
 */
exports.facts = (expression) => {
  let replaced = expression;
  for (const [variable, range] of Object.entries(RANGES)) {
    replaced = replaced.replaceAll(`[${variable}]`, `[${range}]`);
  }
  const text = (node) => replaced.slice(node.from, node.to);
  const found = { error: null, selectors: [], labels: [], makes: [], functions: [] };
  parser.parse(replaced).cursor().iterate((node) => {
    if (node.type.isError) found.error ??= `near “${replaced.slice(Math.max(0, node.from - 20), node.to + 10)}”`;
    if (node.name === 'VectorSelector') found.selectors.push(selectorOf(node.node, text));
    if (node.name === 'LabelName' && node.node.parent.name !== 'UnquotedLabelMatcher') found.labels.push(text(node));
    if (node.name === 'FunctionCall') {
      const name = text(node.node.firstChild);
      found.functions.push(name);
      if (FUNCTIONS_OF_LABELS.has(name)) {
        const strings = node.node.getChild('FunctionCallBody').getChildren('StringLiteral').map((part) => unquote(text(part)));
        found.makes.push(strings[0]);
      }
    }
  });
  return found;
};
