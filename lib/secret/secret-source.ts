import { untilAborted, type Deadline } from '../core/deadline.js'
import { VKitTimeoutError } from '../core/errors.js'
import { SingleFlight } from '../core/single-flight.js'
import { copyError } from '../core/vkit-error.js'

export interface SecretSourceOptions {
  /** Gives the secret, checked, or rejects with a typed error. */
  readonly read: () => Promise<string>
  /** Whether another answer can be hoped for after the gateway has refused the first. */
  readonly rotates: boolean
}

/** Where the app secret comes from. Mints that need it at the same time ask once. */
export class SecretSource {
  readonly rotates: boolean
  readonly #read: () => Promise<string>
  readonly #flight = new SingleFlight<string>()
  #latest: string | undefined
  #asked = 0
  /** Which question `latest` answers. */
  #answered = 0

  constructor({ read, rotates }: SecretSourceOptions) {
    this.#read = read
    this.rotates = rotates
  }

  /** What was given last, for those who need not ask again. */
  get latest(): string | undefined {
    return this.#latest
  }

  /** @throws VKitConfigError if there is none fit for use; VKitTimeoutError if none comes before the deadline. */
  read(deadline: Deadline): Promise<string> {
    // One that never changes needs no flight, nor a wait for it.
    if (!this.rotates && this.#latest !== undefined) return Promise.resolve(this.#latest)
    return this.#ask('read', deadline)
  }

  /** As `read`, after the gateway has refused what that gave: an answer to a question asked before may be the same again. */
  renew(deadline: Deadline): Promise<string> {
    return this.#ask('renew', deadline)
  }

  /** An answer that comes late does not replace that to a later question. */
  async #askOnce(): Promise<string> {
    const number = ++this.#asked
    const secret = await this.#read()
    if (number < this.#answered) return this.#latest ?? secret
    this.#answered = number
    return (this.#latest = secret)
  }

  async #ask(why: 'read' | 'renew', deadline: Deadline): Promise<string> {
    const flight = this.#flight.run(why, () => this.#askOnce())
    try {
      return await untilAborted(flight, deadline)
    } catch (error) {
      if (!deadline.aborted) throw copyError(error)
      // Later callers must not wait for that result.
      if (this.#flight.get(why) === flight) this.#flight.forget(why)
      if (!(error instanceof VKitTimeoutError)) throw error
      throw new VKitTimeoutError('The app secret provider did not answer before the deadline.', { retryable: false })
    }
  }
}
