import { expect, it } from '@jest/globals'
import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { promisify } from 'node:util'
import { mint, startEmulatorWithPage } from '../support/emulator-page.js'
import { describeWith } from '../support/needs.js'
import { findBinary } from '../support/servers.js'

const guide = readFileSync('docs/guides/emulator.md', 'utf8')

/** Each curl command of the guide, with the JSON that follows it. */
const examples = [...guide.matchAll(/```sh\n(curl [^`]+)```\n(?:\n```json\n([^`]+)```)?/g)].map(
  ([, command = '', json]) => ({ command, response: json === undefined ? '' : (JSON.parse(json) as unknown) }),
)

/** Replaces what differs each time. */
function normalize(response: unknown): unknown {
  const differs = ['durationMs', 'jti', 'ageMs']
  return JSON.parse(JSON.stringify(response), (name, value: unknown) => (differs.includes(name) ? name : value))
}

describeWith({ what: 'curl on PATH', isMet: findBinary('curl') !== undefined }, 'the guide to the emulator', () => {
  it('shows what curl prints', async () => {
    const started = await startEmulatorWithPage({ now: () => 1_795_909_600_000 })
    const run = async (command: string): Promise<unknown> => {
      const { stdout } = await promisify(execFile)('sh', ['-c', command.replace('http://127.0.0.1:8788', started.url)])
      return stdout === '' ? '' : (JSON.parse(stdout) as unknown)
    }
    expect(examples).toHaveLength(5)
    for (const { command, response } of examples) {
      if (command.includes('curl -s http')) await mint(started, { scopes: ['videos.read'] })
      expect([command, normalize(await run(command))]).toEqual([command, normalize(response)])
    }
  })
})
