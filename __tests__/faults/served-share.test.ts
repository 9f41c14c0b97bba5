import { expect, it } from '@jest/globals'
import { readFileSync, writeFileSync } from 'node:fs'
import { failingShare } from './simulation/gateways.js'
import { plot } from './simulation/plot.js'
import { reportOf } from './simulation/report.js'
import { Simulation } from './simulation/simulation.js'

const FILE = 'docs/guides/served-share.svg'
/** A fixed seed, because the plot is committed. */
const PLOT_SEED = 1
const SHARES = Array.from({ length: 11 }, (_, i) => i / 10)

async function shareServed(failing: number): Promise<number> {
  const simulation = new Simulation(failingShare(failing), PLOT_SEED)
  simulation.newUsers(200)
  await simulation.clock.run(60_000)
  return reportOf(simulation).served
}

it('the plot of the outage guide shows the measured shares', async () => {
  const { stackTraceLimit } = Error
  Error.stackTraceLimit = 0
  const ours: number[] = []
  for (const share of SHARES) ours.push(await shareServed(share))
  Error.stackTraceLimit = stackTraceLimit
  const svg = plot(SHARES, [
    { name: 'this package', color: '#1a6fb0', served: ours },
    { name: 'three plain attempts', color: '#c06014', served: SHARES.map(share => 1 - share ** 3) },
    { name: 'no retries', color: '#777777', served: SHARES.map(share => 1 - share) },
  ])
  if (process.env['VKIT_UPDATE_PLOT']) writeFileSync(FILE, svg)
  expect(readFileSync(FILE, 'utf8')).toBe(svg)
}, 60_000)
