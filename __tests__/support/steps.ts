interface PendingStep {
  /** Begins with the name of its process. */
  readonly name: string
  readonly end: () => void
}

/**
 * Chooses the pending step that ends next. Each has a cost: usually, a process goes on while it can, and its oldest pending
 * step ends next, which costs 0.
 */
type Choice = (costs: readonly number[]) => number

/** The steps of concurrent work, which end one after another. */
export class Steps {
  /** The names of the steps, in the order in which they ended. */
  readonly order: string[] = []
  /** Whether a step waits for its turn. Otherwise, it ends at once. */
  areHeld = false
  readonly #choose: Choice
  readonly #pending: PendingStep[] = []
  #arrived: PendingStep[] = []

  constructor(choose: Choice) {
    this.#choose = choose
  }

  /** Resolves when it is the turn of this step. */
  async wait(name: string): Promise<void> {
    if (this.areHeld) await new Promise<void>(end => this.#arrived.push({ name, end }))
  }

  /** Ends one of the pending steps, if there are any. */
  next(): boolean {
    // By name, because threads end their work in any order.
    this.#pending.push(...this.#arrived.sort((a, b) => (a.name < b.name ? -1 : 1)))
    this.#arrived = []
    const [step] = this.#pending.splice(this.#pending.length > 1 ? this.#choose(this.#costs()) : 0, 1)
    if (!step) return false
    this.order.push(step.name)
    step.end()
    return true
  }

  #costs(): readonly number[] {
    const last = processOf(this.order.at(-1) ?? '')
    const processes = this.#pending.map(({ name }) => processOf(name))
    const costOfSwitch = processes.includes(last) ? 1 : 0
    return processes.map((process, i) => {
      const older = processes.slice(0, i).filter(each => each === process).length
      return older + (process === last ? 0 : costOfSwitch)
    })
  }
}

interface Decision {
  readonly chosen: number
  readonly costs: readonly number[]
}

/**
 * Runs a scenario once for each order in which its steps can end, and returns the number of orders. With a limit, only
 * for the orders in which a process that could go on waits for another, or a step for younger ones of its process, at most
 * so often in all.
 */
export async function everyOrder(limit: number, run: (steps: Steps) => Promise<void>): Promise<number> {
  const paths: number[][] = [[]]
  let orders = 0
  for (let path = paths.pop(); path; path = paths.pop()) {
    const [known, decisions] = [path, [] as Decision[]]
    const steps = new Steps(costs => {
      const chosen = known[decisions.length] ?? costs.indexOf(0)
      decisions.push({ chosen, costs })
      return chosen
    })
    await run(steps)
    orders++
    paths.push(...otherPaths(decisions, known.length, limit))
  }
  return orders
}

/** The paths that leave a run at one of its decisions from `first` on. */
function otherPaths(decisions: readonly Decision[], first: number, limit: number): number[][] {
  const paths: number[][] = []
  const taken: number[] = []
  let spent = 0
  for (const [i, { chosen, costs }] of decisions.entries()) {
    for (const [other, cost] of costs.entries())
      if (i >= first && other !== chosen && spent + cost <= limit) paths.push([...taken, other])
    taken.push(chosen)
    spent += costs[chosen] ?? 0
  }
  return paths
}

function processOf(name: string): string {
  return name.split(' ', 1).join()
}
