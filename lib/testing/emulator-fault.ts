import {
  BOOLEAN_OR_IN_BODY,
  checkMembers,
  checkValue,
  FRACTION,
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
  /** Applies only to this fraction of the requests, chosen at random: 0.3 is 30 %. */
  readonly share?: number
  /** How many requests it applies to. Default: all. */
  readonly times?: number
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
  share: FRACTION,
  times: wholeNumber(1, Infinity),
  status: wholeNumber(100, 999),
  headers: HEADERS,
  body: JSON_BODY,
  answer: JSON_OBJECT,
  delayMs: milliseconds(0, LONGEST_MS),
  reset: BOOLEAN_OR_IN_BODY,
  silence: BOOLEAN_OR_IN_BODY,
}

interface Rule {
  readonly fault: GatewayFault
  /** How many more requests it applies to. */
  left: number
}

/** Chooses the fault of each request: first the faults for the next requests, then those for all requests. */
export class FaultScript {
  readonly #random: () => number
  #next: Rule[] = []
  #forAll: readonly Rule[] = []

  constructor(random: () => number) {
    this.#random = random
  }

  addNext(fault: GatewayFault, times: number): void {
    checkValue('failNext: times', times, FAULT_CHECKS.times)
    this.#next.push({ fault: checkFault('failNext: the fault', fault), left: times })
  }

  setForAll(faults: readonly GatewayFault[]): void {
    const checked = faults.map(fault => checkFault('fail: the fault', fault))
    this.#forAll = checked.map(fault => ({ fault, left: fault.times ?? Infinity }))
  }

  /** The faults for all requests that still apply, each with the rest of its `times`. */
  get forAll(): GatewayFault[] {
    const active = this.#forAll.filter(({ left }) => left > 0)
    return active.map(rule => (isLimited(rule) ? { ...rule.fault, times: rule.left } : rule.fault))
  }

  clear(): void {
    this.#forAll = []
    this.#next = []
  }

  /** Returns the fault for a request with this body, and counts it as used. */
  take(body: unknown): GatewayFault {
    const identity = (body as { identity?: unknown } | null)?.identity
    const applies = ({ fault, left }: Rule): boolean =>
      left > 0 && (fault.identity === undefined || fault.identity === identity) && this.#isChosen(fault)
    const limited = [...this.#next, ...this.#forAll.filter(isLimited)].find(applies)
    if (limited) {
      limited.left--
      this.#next = this.#next.filter(({ left }) => left > 0)
      return limited.fault
    }
    const faults = this.#forAll.filter(rule => !isLimited(rule) && applies(rule)).map(({ fault }) => fault)
    // Without a prototype, so that only its own members count. If two have the same member, the first one wins.
    return Object.assign(Object.create(null) as GatewayFault, ...faults.reverse()) as GatewayFault
  }

  #isChosen({ share }: GatewayFault): boolean {
    return share === undefined || this.#random() < share
  }
}

function isLimited({ left }: Rule): boolean {
  return left < Infinity
}

/** @throws TypeError if a member is unknown, or its value is invalid */
export function checkFault(what: string, fault: unknown): GatewayFault {
  return checkMembers(what, fault, FAULT_CHECKS)
}
