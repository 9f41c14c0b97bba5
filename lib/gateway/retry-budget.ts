const CAPACITY = 10
const COST_OF_RETRY = 1
const EARNED_BY_SUCCESS = 0.1

/** Bounds what retries add to the traffic of one client: in a long outage nothing, else at most a tenth. */
export class RetryBudget {
  #tokens = CAPACITY

  earn(): void {
    this.#tokens = Math.min(CAPACITY, this.#tokens + EARNED_BY_SUCCESS)
  }

  /** Takes the price of one retry, if there is enough left to pay it. */
  spend(): boolean {
    if (this.#tokens < COST_OF_RETRY) return false
    this.#tokens -= COST_OF_RETRY
    return true
  }
}
