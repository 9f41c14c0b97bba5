import jestEnvironment from '@stryker-mutator/jest-runner/jest-env/node'

/** A test environment that ends a file at its first failure: one is enough to catch a mutant, and each other one may hang. */
export default class BailEnvironment extends jestEnvironment {
  #failed = false

  async handleTestEvent(event, state) {
    await super.handleTestEvent?.(event, state)
    if (event.name === 'test_fn_failure') this.#failed = true
    if (event.name === 'test_start' && this.#failed) event.test.mode = 'skip'
  }
}
