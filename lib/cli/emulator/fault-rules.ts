import type { GatewayFault } from '../../testing/emulator-fault.js'
import { readDuration, readWhole } from '../arguments.js'
import { usageError } from '../exit-codes.js'

type Draft = { -readonly [K in keyof GatewayFault]: GatewayFault[K] }

/** Parses a rule like `429,retry-after=2,x3` or `503,10%`. @throws CommandError if it is invalid. */
export function readFault(rule: string): GatewayFault {
  const draft: Draft = {}
  for (const word of rule.split(',')) readWord(word.trim(), draft)
  const isEmpty = Object.keys(draft).every(name => name === 'times' || name === 'share')
  if (isEmpty) throw usageError(`--fault has a condition, but no fault. ${KNOWN}`)
  return draft
}

const KNOWN =
  'Faults: 503 (or another status), retry-after=2, delay=800ms, reset, silence, expired. Conditions: x3, 20%.'

function readWord(word: string, draft: Draft): void {
  const [name = '', value = ''] = word.split('=')
  if (/^[2-5]\d\d$/.test(word)) draft.status = Number(word)
  else if (/^x\d+$/.test(word)) draft.times = readWhole(word.slice(1), '--fault x…', [1, 1_000_000])
  else if (/^\d+%$/.test(word)) draft.share = readWhole(word.slice(0, -1), '--fault …%', [1, 100]) / 100
  else if (word === 'reset') draft.reset = true
  else if (word === 'silence') draft.silence = true
  else if (word === 'expired') draft.answer = { expiresAt: '2000-01-01T00:00:00Z' }
  else if (name === 'delay') draft.delayMs = readDuration(value, '--fault delay=')
  else if (name === 'retry-after') {
    draft.headers = { 'Retry-After': String(readWhole(value, '--fault retry-after=', [0, 86_400])) }
  } else throw usageError(`Unknown fault. ${KNOWN}`)
}
