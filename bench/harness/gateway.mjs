// A gateway in a process of its own, as cheap as node:http gets: no checks, a canned token, the identity echoed. Four
// ports: http and https, at once and after 20 ms.
import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const PROCESS = fileURLToPath(new URL('gateway-process.mjs', import.meta.url))

export class Gateway {
  static async start() {
    const child = fork(PROCESS, { execArgv: [] })
    const gateway = new Gateway(child)
    Object.assign(gateway, await gateway.#ask(undefined))
    return gateway
  }

  #child

  constructor(child) {
    this.#child = child
  }

  /** Since the last time it was asked: `{ requests, cpuUs }`. */
  usage() {
    return this.#ask('usage')
  }

  stop() {
    this.#child.disconnect()
  }

  #ask(question) {
    return new Promise((resolve, reject) => {
      const onExit = code => reject(new Error(`The gateway ended with ${code}`))
      this.#child.once('exit', onExit)
      this.#child.once('message', answer => {
        this.#child.off('exit', onExit)
        resolve(answer)
      })
      if (question) this.#child.send(question)
    })
  }
}
