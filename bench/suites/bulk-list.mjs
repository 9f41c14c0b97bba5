import { runCommand } from '../harness/command.mjs'
import { Gateway } from '../harness/gateway.mjs'
import { countTokens, withList } from '../harness/identities.mjs'
import { bytes, number } from '../report/format.mjs'

const GOAL_BYTES = 250e6

export const title = 'A file of many identities'
export const about = `\`vkit token --from --out\` for a long file, with the emulator of the package in its own process, which responds immediately. The CPU
time and the peak memory are those of the command. \`npm run bench -- bulk-list --identities 1000000\` is for a million.`

export async function measure({ quick, identities = quick ? 5_000 : 100_000, note }) {
  const gateway = await Gateway.startEmulator({ delayMs: 0 })
  const { url, appSecret } = gateway
  try {
    return await withList(identities, async list => {
      note(`${identities.toLocaleString('en')} identities`)
      const out = `${list}.out`
      const cost = await runCommand(['token', '--from', list, '--out', out, '--base-url', url], { appSecret })
      return { wanted: identities, ...cost, ...(await countTokens(out)) }
    })
  } finally {
    gateway.stop()
  }
}

export function tables({ wanted, tokens, ms, cpuUs, peakBytes }) {
  const cells = [number(tokens / (ms / 1e3)), number(ms / 1e3), number(cpuUs / tokens), bytes(peakBytes)]
  return [
    {
      head: ['identities', 'per s', 's', 'CPU µs per token', 'peak memory'],
      rows: [[wanted.toLocaleString('en'), ...cells]],
      ours: [],
    },
  ]
}

export function goals({ wanted, tokens, identities, peakBytes }) {
  return [
    {
      goal: 'exactly one line for each identity',
      saw: `${tokens.toLocaleString('en')} lines, ${identities.toLocaleString('en')} identities`,
      reached: tokens === wanted && identities === wanted,
    },
    {
      goal: `the peak memory is at most ${bytes(GOAL_BYTES)}`,
      saw: bytes(peakBytes),
      reached: peakBytes <= GOAL_BYTES,
    },
  ]
}
