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

/** A fault in one response. Members can be combined, but `reset` and `silence` hide the others. */
export interface GatewayFault {
  /** Applies only to requests for this identity. */
  readonly identity?: string
  /** The response status, instead of 200. From 400 on, the default body is the gateway's JSON error. */
  readonly status?: number
  /** Extra response headers, which replace default headers of the same name. */
  readonly headers?: Readonly<Record<string, string | readonly string[]>>
  /** The whole response body: text and bytes unchanged, any other value as JSON. */
  readonly body?: unknown
  /** Members to replace in an otherwise normal response body; `undefined` removes a member. */
  readonly answer?: Readonly<Record<string, unknown>>
  /** Milliseconds of real time before the response is sent. */
  readonly delayMs?: number
  /** Resets the connection: before the response, or in the middle of its body. */
  readonly reset?: boolean | 'in-body'
  /** Never sends a response, or stops in the middle of its body. */
  readonly silence?: boolean | 'in-body'
}

/** The longest delay of a Node timer, a signed 32-bit number. */
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

/** Chooses the fault of each request: first the faults for the next requests, then the fault for all requests. */
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

  /** Returns the fault for a request with this body, and counts it as used. */
  take(body: unknown): GatewayFault {
    const identity = (body as { identity?: unknown } | null)?.identity
    const appliesTo = (fault: GatewayFault): boolean => fault.identity === undefined || fault.identity === identity
    const index = this.#next.findIndex(({ fault }) => appliesTo(fault))
    const scripted = this.#next[index]
    if (scripted && --scripted.left === 0) this.#next.splice(index, 1)
    if (scripted) return scripted.fault
    return this.#forAll && appliesTo(this.#forAll) ? this.#forAll : NO_FAULT
  }
}

/** @throws TypeError if a member is unknown, or its value is invalid */
export function checkFault(what: string, fault: unknown): GatewayFault {
  return checkMembers(what, fault, FAULT_CHECKS)
}
