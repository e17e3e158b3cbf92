// Answers the tests' questions: a line of JSON in, a line of JSON out.
'use strict';
const readline = require('node:readline');

// Libraries that greet the world must not do so in the middle of the answers.
console.log = console.info = console.error;

const ANSWERS = {
  problems: ({ dashboard }) => require('./schema.cjs').problems(dashboard),
  promql: ({ expressions }) => expressions.map((expression) => require('./promql.cjs').facts(expression)),
  show: ({ panel, answers, variables, theme }) => require('./show.cjs').show(panel, answers, variables, theme),
};

async function main() {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const { ask, ...question } = JSON.parse(line);
    const answer = await Promise.resolve()
      .then(() => ANSWERS[ask](question))
      .then((value) => ({ value }), (error) => ({ error: error.stack }));
    process.stdout.write(`${JSON.stringify(answer)}\n`);
  }
}

main();
