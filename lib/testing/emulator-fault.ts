import {
  BOOLEAN_OR_IN_BODY,
  checkMembers,
  checkValue,
  HEADERS,
  JSON_BODY,
  JSON_OBJECT,
  milliseconds,
  TEXT,
  wholeNumber,
  type Checks,
} from './check-members.js'

/** What goes wrong with one answer. Members can be combined; `reset` and `silence` leave nothing else to be seen. */
export interface GatewayFault {
  /** Only requests for this identity meet it. */
  readonly identity?: string
  /** The answer's status instead of 200; from 400 on with the gateway's JSON error, if no `body` is given. */
  readonly status?: number
  /** Beside, or in place of, the usual ones. */
  readonly headers?: Readonly<Record<string, string | readonly string[]>>
  /** The whole body: text and bytes as they are, anything else as JSON. */
  readonly body?: unknown
  /** Members of an otherwise right answer, put in place of its own; `undefined` leaves one out. */
  readonly answer?: Readonly<Record<string, unknown>>
  /** Real milliseconds before the answer is sent. */
  readonly delayMs?: number
  /** The connection is reset: before an answer, or in the middle of its body. */
  readonly reset?: boolean | 'in-body'
  /** No answer ever comes, or it stops in the middle of its body. */
  readonly silence?: boolean | 'in-body'
}

/** Node's timers take no more than a signed 32-bit number of milliseconds. */
const LONGEST_MS = 2 ** 31 - 1

const FAULT_CHECKS: Checks<GatewayFault> = {
  identity: TEXT,
  status: wholeNumber(100, 999),
  headers: HEADERS,
  body: JSON_BODY,
  answer: JSON_OBJECT,
  delayMs: milliseconds(0, LONGEST_MS),
  reset: BOOLEAN_OR_IN_BODY,
  silence: BOOLEAN_OR_IN_BODY,
}

const TIMES = wholeNumber(1, Infinity)
const NO_FAULT: GatewayFault = checkFault('fault', {})

/** Which fault each request meets: those for the next requests first, then the one for all. */
export class FaultScript {
  readonly #next: { readonly fault: GatewayFault; left: number }[] = []
  #forAll: GatewayFault | undefined

  addNext(fault: GatewayFault, times: number): void {
    checkValue('failNext: times', times, TIMES)
    this.#next.push({ fault: checkFault('failNext: the fault', fault), left: times })
  }

  setForAll(fault: GatewayFault): void {
    this.#forAll = checkFault('fail: the fault', fault)
  }

  clear(): void {
    this.#forAll = undefined
    this.#next.length = 0
  }

  /** The fault that a request with this body meets; it counts as met. */
  take(body: unknown): GatewayFault {
    const identity = (body as { identity?: unknown } | null)?.identity
    const concerns = (fault: GatewayFault): boolean => fault.identity === undefined || fault.identity === identity
    const index = this.#next.findIndex(({ fault }) => concerns(fault))
    const scripted = this.#next[index]
    if (scripted && --scripted.left === 0) this.#next.splice(index, 1)
    if (scripted) return scripted.fault
    return this.#forAll && concerns(this.#forAll) ? this.#forAll : NO_FAULT
  }
}

/** @throws TypeError on a member that it does not know or take */
export function checkFault(what: string, fault: unknown): GatewayFault {
  return checkMembers(what, fault, FAULT_CHECKS)
}
