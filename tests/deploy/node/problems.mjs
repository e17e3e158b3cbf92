// Reads a JSON array of objects of the Prometheus operator's kinds, and writes what is wrong with each: an array of
// arrays of sentences.
import { readFileSync } from "node:fs";
import * as operator from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1";

// The validators are compiled from the definitions and have no list of the fields that these know. But they look at
// each field that they know: what they never looked at is unknown.
function watched(value, path, unseen) {
  if (value === null || typeof value !== "object") return value;
  const copy = Array.isArray(value) ? [] : {};
  for (const [key, inner] of Object.entries(value)) {
    copy[key] = watched(inner, `${path}/${key}`, unseen);
    unseen.add(`${path}/${key}`);
  }
  return new Proxy(copy, {
    get(target, key) {
      if (typeof key === "string") unseen.delete(`${path}/${key}`);
      return target[key];
    },
  });
}

function problems(object) {
  const unseen = new Set();
  const Model = operator[object.kind];
  if (Model === undefined) return [`there is no kind ${object.kind}`];
  try {
    Model.prototype.validate.call(watched(object, "", unseen));
  } catch (error) {
    if (!Array.isArray(error.errors)) throw error;
    return error.errors.map(({ instancePath, message }) => `${instancePath}: ${message}`);
  }
  return [...unseen].map((path) => `${path}: no such field`);
}

const objects = JSON.parse(readFileSync(0, "utf8"));
process.stdout.write(JSON.stringify(objects.map(problems)));
