// A candidate in its own process, because the calls of one candidate affect how V8 optimises another.
import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const WORKER = fileURLToPath(new URL('candidate-process.mjs', import.meta.url))

export class Candidate {
  static async start({ worker, name, context, env = {}, execArgv = [] }) {
    const child = fork(WORKER, [fileURLToPath(worker), name, JSON.stringify(context)], {
      env: { ...process.env, ...env },
      execArgv,
    })
    const candidate = new Candidate(name, child)
    await candidate.#reply()
    return candidate
  }

  #child

  constructor(name, child) {
    this.name = name
    this.#child = child
  }

  /** Takes one sample. The suite and its worker define `params`. */
  sample(params) {
    const reply = this.#reply()
    this.#child.send(params)
    return reply
  }

  stop() {
    this.#child.disconnect()
  }

  #reply() {
    return new Promise((resolve, reject) => {
      const onMessage = ({ result, error }) => settle(() => (error ? reject(this.#error(error)) : resolve(result)))
      const onExit = code => settle(() => reject(this.#error(`the process exited with code ${code}`)))
      const settle = how => {
        this.#child.off('message', onMessage)
        this.#child.off('exit', onExit)
        how()
      }
      this.#child.once('message', onMessage)
      this.#child.once('exit', onExit)
    })
  }

  #error(what) {
    return new Error(`${this.name}: ${what}`)
  }
}
