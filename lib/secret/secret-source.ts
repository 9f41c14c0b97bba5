import { untilAborted, type Deadline } from '../core/deadline.js'
import { VKitTimeoutError } from '../core/errors.js'
import { SingleFlight } from '../core/single-flight.js'
import { copyError } from '../core/vkit-error.js'

export interface SecretSourceOptions {
  /** Returns the validated secret, or throws a typed error. */
  readonly read: () => string | Promise<string>
  /** Whether `read` may return another secret after the gateway has rejected the first. */
  readonly rotates: boolean
}

/** The source of the app secret. Concurrent mints share one read. */
export class SecretSource {
  readonly rotates: boolean
  readonly #read: () => string | Promise<string>
  readonly #flight = new SingleFlight<string>()
  #latest: string | undefined
  #started = 0
  /** The number of the read that returned `latest`. */
  #completed = 0

  constructor({ read, rotates }: SecretSourceOptions) {
    this.#read = read
    this.rotates = rotates
  }

  /** The latest secret, for callers that do not need a new read. */
  get latest(): string | undefined {
    return this.#latest
  }

  /** @throws VKitConfigError if the secret is not valid; VKitTimeoutError if the deadline passes first. */
  read(deadline: Deadline): Promise<string> {
    // A secret that never changes needs no flight.
    if (!this.rotates && this.#latest !== undefined) return Promise.resolve(this.#latest)
    return this.#share('read', deadline)
  }

  /** Like `read`, after the gateway has rejected the secret: an earlier read may still return the rejected one. */
  renew(deadline: Deadline): Promise<string> {
    return this.#share('renew', deadline)
  }

  /** The late result of an earlier read does not replace that of a later one. */
  async #readOnce(): Promise<string> {
    const number = ++this.#started
    const secret = await this.#read()
    if (number < this.#completed) return this.#latest ?? secret
    this.#completed = number
    return (this.#latest = secret)
  }

  async #share(why: 'read' | 'renew', deadline: Deadline): Promise<string> {
    const flight = this.#flight.run(why, () => this.#readOnce())
    try {
      return await untilAborted(flight, deadline)
    } catch (error) {
      if (!deadline.aborted) throw copyError(error)
      // Later callers must not wait for that result.
      if (this.#flight.get(why) === flight) this.#flight.forget(why)
      if (!(error instanceof VKitTimeoutError)) throw error
      throw new VKitTimeoutError('The app secret provider did not return before the deadline.', { retryable: false })
    }
  }
}
