import type { Random } from '../../core/backoff.js'
import type { GatewayFault } from '../../testing/emulator-fault.js'
import { readDuration, readWhole } from '../arguments.js'
import { usageError } from '../exit-codes.js'

/** A fault from the command line, and when it applies. */
interface FaultRule {
  readonly fault: { -readonly [K in keyof GatewayFault]: GatewayFault[K] }
  /** The fraction of requests that it applies to. */
  chance: number
  /** How many more requests it applies to. */
  left: number
}

/** Chooses the fault of each request from rules like `429,retry-after=2,x3` or `503,10%`; the first that applies. */
export class FaultRules {
  readonly #rules: FaultRule[]
  readonly #random: Random

  /** @throws CommandError if a rule is invalid. */
  constructor(rules: readonly string[], random: Random = Math.random) {
    this.#rules = rules.map(readRule)
    this.#random = random
  }

  next(): GatewayFault | undefined {
    const rule = this.#rules.find(({ left, chance }) => left > 0 && this.#random() < chance)
    if (rule) rule.left--
    return rule?.fault
  }
}

function readRule(text: string): FaultRule {
  const rule: FaultRule = { fault: {}, chance: 1, left: Infinity }
  for (const word of text.split(',')) readWord(word.trim(), rule)
  if (Object.keys(rule.fault).length === 0) throw usageError(`--fault has a condition, but no fault. ${KNOWN}`)
  return rule
}

const KNOWN =
  'Faults: 503 (or another status), retry-after=2, delay=800ms, reset, silence, expired. Conditions: x3, 20%.'

function readWord(word: string, rule: FaultRule): void {
  const [name = '', value = ''] = word.split('=')
  if (/^[2-5]\d\d$/.test(word)) rule.fault.status = Number(word)
  else if (/^x\d+$/.test(word)) rule.left = readWhole(word.slice(1), '--fault x…', [1, 1_000_000])
  else if (/^\d+%$/.test(word)) rule.chance = readWhole(word.slice(0, -1), '--fault …%', [1, 100]) / 100
  else if (word === 'reset') rule.fault.reset = true
  else if (word === 'silence') rule.fault.silence = true
  else if (word === 'expired') rule.fault.answer = { expiresAt: '2000-01-01T00:00:00Z' }
  else if (name === 'delay') rule.fault.delayMs = readDuration(value, '--fault delay=')
  else if (name === 'retry-after') {
    rule.fault.headers = { 'Retry-After': String(readWhole(value, '--fault retry-after=', [0, 86_400])) }
  } else throw usageError(`Unknown fault. ${KNOWN}`)
}
