import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { VKitClosedError } from '../../../lib/core/errors.js'
import type { TokenStore } from '../../../lib/store/token-store.js'
import { Fleet, type FleetProcess } from '../../support/fleet.js'
import type { MemoryStore } from '../../support/memory-store.js'
import { everyOrder, Steps } from '../../support/steps.js'
import { untilThreadsAreIdle } from '../../support/threads.js'

const OPERATIONS = ['get', 'reload', 'invalidate', 'close'] as const
type Operation = (typeof OPERATIONS)[number]
/** An operation, and the number of the process that does it. */
type Task = readonly [process: number, operation: Operation]
const PAIRS = OPERATIONS.slice(0, 3).flatMap((first, i) => OPERATIONS.slice(i).map(second => [first, second] as const))
/** See `everyOrder`. */
const LIMIT = Number(process.env['VKIT_TEST_SWITCHES'] ?? 1)
/** On a busy machine. */
const LONGEST_TEST_MS = 300_000
const HOUR_MS = 3_600_000
/** After this time, what could not be sent at once is sent, such as a second reload within a second. */
const PING_MS = 5_000
/** Longer than any call waits. */
const LONGEST_MS = 30_000

/** Operations that begin at the same time, and the time that passes after them. */
interface Phase {
  readonly tasks: readonly Task[]
  readonly ms: number
}

type Wait = (what: string) => Promise<void>

interface Actor extends FleetProcess {
  readonly wait: Wait
}

/**
 * A store in which each operation of a process is a step. A change happens at its end. What is read, or leased, depends on the
 * state at the start, because a connection keeps their order.
 */
function storeOf(store: MemoryStore, wait: Wait): TokenStore {
  const answered = async <T>(what: string, result: Promise<T>): Promise<T> => {
    const value = await result
    await wait(what)
    return value
  }
  return {
    get: key => answered('read', store.get(key)),
    acquireLease: (...args) => answered('lease', store.acquireLease(...args)),
    set: (...args) => wait('write').then(() => store.set(...args)),
    delete: key => wait('delete').then(() => store.delete(key)),
    releaseLease: (...args) => wait('release').then(() => store.releaseLease(...args)),
    publish: (...args) => wait('publish').then(() => store.publish(...args)),
    subscribe: (channel, listener) =>
      store.subscribe(channel, {
        onMessage: message => void wait('message').then(() => listener.onMessage(message)),
        onLost: () => listener.onLost(),
      }),
  }
}

/** Operations that processes with one store begin at the same time, and what must be true whatever their order. */
class Scenario {
  readonly #fleet = new Fleet()
  readonly #steps: Steps
  readonly #actors: Actor[]
  readonly #closed = new Set<Actor>()
  readonly #problems: string[] = []
  /** The calls of a process must get a later token than this, because its `invalidate` or `reload` has returned. */
  readonly #tooOld = new Map<Actor, number>()

  /** `aheadMs` has the clock of each process. */
  constructor(steps: Steps, aheadMs: readonly number[]) {
    this.#steps = steps
    this.#actors = aheadMs.map((ms, i) => this.#start(`process-${i + 1}`, ms))
  }

  /** The user of the operations has a token in each process, or has none yet. */
  async warm(isWarm: boolean): Promise<void> {
    await this.#fleet.warm(this.#actors, isWarm ? 'user' : 'another user')
  }

  /** Begins some operations at the same time, and ends when nothing is left to do. */
  async run(tasks: readonly Task[]): Promise<void> {
    const [mints, startedAt] = [this.#fleet.mints, this.#fleet.clock.monotonic()]
    this.#steps.areHeld = true
    let running = tasks.length
    for (const [process, operation] of tasks) {
      const actor = this.#actors[process]
      if (!actor) throw new RangeError(`no process ${process}`)
      void actor
        .wait(`begin of ${operation}`)
        .then(() => this.#operate(actor, operation))
        .finally(() => running--)
    }
    for (let isStep = true; isStep || running > 0;) {
      await untilThreadsAreIdle()
      isStep = this.#steps.next()
      await this.#fleet.clock.advance(isStep ? 1 : 25)
      this.#require(this.#fleet.clock.monotonic() < startedAt + LONGEST_MS, 'a call that does not end')
    }
    this.#steps.areHeld = false
    const areGets = tasks.every(([, operation]) => operation === 'get')
    this.#require(!areGets || this.#fleet.mints <= mints + 1, 'two mints of one key')
    this.#check()
  }

  /** Lets time pass. Then each process knows what the others have invalidated. */
  async pass(ms: number): Promise<void> {
    await this.#fleet.clock.advance(ms)
    await this.#fleet.settle()
    for (const actor of this.#actors) this.#tooOld.set(actor, Math.max(0, ...this.#tooOld.values()))
  }

  /** All processes get a new token, and nothing is left. */
  async end(): Promise<void> {
    const open = this.#actors.filter(actor => !this.#closed.has(actor))
    for (const actor of open) await this.#fleet.complete(this.#operate(actor, 'get'))
    for (const actor of this.#actors) await this.#fleet.complete(actor.close())
    await untilThreadsAreIdle()
    const [inFlight] = this.#actors.map(({ cache }) => cache.inFlight).sort((a, b) => b - a)
    const { clock, store } = this.#fleet
    this.#check()
    expect({ inFlight, sleepers: clock.sleepers, leases: store.leases }).toEqual({
      inFlight: 0,
      sleepers: 0,
      leases: [],
    })
  }

  #start(name: string, aheadMs: number): Actor {
    const counts = new Map<string, number>()
    const wait: Wait = what => {
      const count = (counts.get(what) ?? 0) + 1
      if (this.#steps.areHeld) counts.set(what, count)
      return this.#steps.wait(`${name} ${what} ${count}`)
    }
    const process = this.#fleet.start({ aheadMs, store: storeOf(this.#fleet.store, wait), pause: wait })
    return Object.assign(process, { wait })
  }

  async #operate(actor: Actor, operation: Operation): Promise<void> {
    const { mints } = this.#fleet
    if (operation === 'close') this.#closed.add(actor)
    try {
      if (operation === 'close') await actor.close()
      else if (operation === 'get') await this.#get(actor, this.#tooOld.get(actor) ?? 0)
      else {
        await (operation === 'reload' ? this.#get(actor, mints, 'reload') : actor.invalidate())
        this.#tooOld.set(actor, Math.max(mints, this.#tooOld.get(actor) ?? 0))
      }
    } catch (error) {
      this.#require(error instanceof VKitClosedError && this.#closed.has(actor), String(error))
    }
  }

  async #get(actor: Actor, tooOld: number, mode: 'default' | 'reload' = 'default'): Promise<void> {
    const token = await actor.get({ mode })
    const { clock, expiries } = this.#fleet
    this.#require(Number(token.replace('token-', '')) > tooOld, `${token} although ${tooOld} had been invalidated`)
    this.#require((expiries.get(token) ?? 0) > clock.now(), `${token} after its end`)
  }

  #require(isMet: boolean, problem: string): void {
    if (!isMet) this.#problems.push(problem)
  }

  #check(): void {
    if (this.#problems.length > 0)
      throw new Error(`${this.#problems.join(', ')}, in this order: ${this.#steps.order.join(', ')}`)
  }
}

/** Lets a scenario happen from the start to the end, in each of its phases. */
async function play(scenario: Scenario, isWarm: boolean, phases: readonly Phase[]): Promise<void> {
  await scenario.warm(isWarm)
  for (const { tasks, ms } of phases) {
    await scenario.run(tasks)
    await scenario.pass(ms)
  }
  await scenario.end()
}

describe.each([
  ['in one process', [0]],
  ['in two processes with one store', [0, 0]],
])('%s', (_, clocks) => {
  describe.each(['cold', 'warm'])('with a %s cache', state => {
    it.each(PAIRS)(
      '%s and %s are right in any order of their steps',
      async (first, second) => {
        const tasks = [[0, first] as const, [clocks.length - 1, second] as const]
        const orders = await everyOrder(LIMIT, steps =>
          play(new Scenario(steps, clocks), state === 'warm', [{ tasks, ms: PING_MS }]),
        )
        expect(orders).toBeGreaterThan(1)
      },
      LONGEST_TEST_MS,
    )
  })
})

describe('in two processes with one store', () => {
  it(
    'any operations at any times are right in any order of their steps',
    async () => {
      // Not reloads of both: which of two tokens is newer is not known to less than two seconds, and clocks are wrong here.
      const task = fc.oneof(
        fc.tuple(fc.constant(0), fc.constantFrom<Operation>('get', 'reload', 'invalidate')),
        fc.tuple(fc.constant(1), fc.constantFrom<Operation>('get', 'invalidate')),
      )
      const phase = fc.record({
        tasks: fc.array(task, { minLength: 1, maxLength: 4 }),
        ms: fc.constantFrom(PING_MS, 10 * PING_MS, 0.55 * HOUR_MS, HOUR_MS),
      })
      const clocks = fc.tuple(fc.constant(0), fc.constantFrom(0, 0, -300_000, 300_000))
      const phases = fc.array(phase, { minLength: 1, maxLength: 4 })
      const choices = fc.infiniteStream(fc.nat())
      await fc.assert(
        fc.asyncProperty(clocks, fc.boolean(), phases, choices, async (clocks, isWarm, phases, choices) => {
          const steps = new Steps(({ length }) => (choices.next().value as number) % length)
          await play(new Scenario(steps, clocks), isWarm, phases)
        }),
        { numRuns: Number(process.env['VKIT_TEST_ORDERS'] ?? 50) },
      )
    },
    LONGEST_TEST_MS,
  )
})
