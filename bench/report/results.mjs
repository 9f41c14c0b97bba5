// The numbers of the last saved run, by suite. The page and the plot are created only from these.
import { readFile, writeFile } from 'node:fs/promises'

const FILE = new URL('../results.json', import.meta.url)
const DIGITS = 4

export async function readResults() {
  return JSON.parse(await readFile(FILE, 'utf8').catch(() => '{}'))
}

export async function writeResults(results) {
  const round = (_, value) => (typeof value === 'number' ? Number(value.toPrecision(DIGITS)) : value)
  const exact = new Set(['machine', 'sizes', 'seconds'])
  const text = JSON.stringify(results, (key, value) => (exact.has(key) ? value : round(key, value)), 1)
  await writeFile(FILE, `${text}\n`)
}
