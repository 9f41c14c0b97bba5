import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { gzipSync } from 'node:zlib'
import { FLOOR, HAND_WRITTEN, OURS, workers } from '../competitors/edge.mjs'
import { runRounds } from '../harness/rounds.mjs'
import { compare } from '../harness/stats.mjs'
import { bundleWorker, timeStart } from '../harness/workerd.mjs'
import { bytes, number, percent, times } from '../report/format.mjs'

const PEERS = ['livekit-server-sdk', '@clerk/backend']
const GOAL = 1.5

export const title = 'At the edge'
export const about = `A Worker with the client of each package, bundled by esbuild as wrangler does, and minified. Its *start* is the time from
the start of workerd, without Node compatibility, until the first response. The response of those that mint waits for a token from the gateway
on loopback. livekit-server-sdk signs its token in the Worker, and @clerk/backend only creates its client.`

export async function measure({ gateway, quick, note }) {
  const rounds = quick ? 3 : 21
  const folder = await mkdtemp(path.join(tmpdir(), 'videokit-edge-'))
  try {
    note('bundles')
    const candidates = await Promise.all(
      Object.entries(workers).map(async ([name, { worker }]) => {
        const code = await bundleWorker(worker(gateway.urls.http[0]))
        return { name, code, size: { minified: code.length, gzip: gzipSync(code, { level: 9 }).length } }
      }),
    )
    note('starts')
    const samples = await runRounds(candidates, rounds, ({ code }) => timeStart(folder, code))
    const sizes = Object.fromEntries(candidates.map(({ name, size }) => [name, size]))
    return { rounds, start: compare(samples, FLOOR, 'first'), sizes }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

export function tables({ start, sizes }) {
  const rows = Object.keys(workers).map(name => [
    name,
    bytes(sizes[name].minified),
    bytes(sizes[name].gzip),
    number(start[name].median),
    percent(start[name].ratioSpread),
    times(start[name].ratio),
    workers[name].mints ? 'yes' : 'no',
  ])
  return [{ head: ['', 'minified', 'gzip', 'start: ms', '±', `× ${FLOOR}`, 'mints'], rows, ours: [OURS] }]
}

export function goals({ start, sizes }) {
  const largest = Math.max(...PEERS.map(name => sizes[name].gzip))
  const ratio = start[OURS].median / start[HAND_WRITTEN].median
  return [
    {
      goal: `the start takes at most ${times(GOAL)} the time of ${HAND_WRITTEN}`,
      saw: times(ratio),
      reached: ratio <= GOAL,
      why: 'the runtime compiles the package, and its code runs for the first time.',
    },
    {
      goal: `the bundle is at most as large as that of the larger of ${PEERS.join(' and ')}`,
      saw: `${bytes(sizes[OURS].gzip)} and ${bytes(largest)}, with gzip`,
      reached: sizes[OURS].gzip <= largest,
      why: 'it contains the cache, the protection from outages, and encryption for a store.',
    },
  ]
}
