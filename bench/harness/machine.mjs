// Describes the machine of a run, without which its numbers mean nothing.
import { readFileSync } from 'node:fs'
import os from 'node:os'

export function describeMachine() {
  const cpus = os.cpus()
  return {
    date: new Date().toISOString().slice(0, 10),
    node: process.version,
    cpu: cpus[0].model.trim(),
    cores: cpus.length,
    memoryGiB: Math.round(os.totalmem() / 2 ** 30),
    os: `${os.type()} ${os.release().split('-')[0]}`,
    loadBefore: Number(os.loadavg()[0].toFixed(2)),
    ours: version('../../package.json'),
    packages: versions(),
  }
}

function versions() {
  const { devDependencies } = readJson('../package.json')
  return devDependencies
}

function version(file) {
  return readJson(file).version
}

function readJson(file) {
  return JSON.parse(readFileSync(new URL(file, import.meta.url), 'utf8'))
}
