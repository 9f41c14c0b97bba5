// A minimal gateway on node:http, in its own process: no checks, a constant token, and the identity of the request. It has
// four ports: http and, with `tls`, https, each with an immediate response and with one after 20 ms.
import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const PROCESS = fileURLToPath(new URL('gateway-process.mjs', import.meta.url))

export class Gateway {
  static async start({ tls = true } = {}) {
    const child = fork(PROCESS, tls ? ['--tls'] : [], { execArgv: [] })
    const gateway = new Gateway(child)
    Object.assign(gateway, await gateway.#request(undefined))
    return gateway
  }

  #child

  constructor(child) {
    this.#child = child
  }

  /** Returns `{ requests, cpuUs }` since the previous call. */
  usage() {
    return this.#request('usage')
  }

  stop() {
    this.#child.disconnect()
  }

  #request(message) {
    return new Promise((resolve, reject) => {
      const onExit = code => reject(new Error(`The gateway exited with code ${code}`))
      this.#child.once('exit', onExit)
      this.#child.once('message', response => {
        this.#child.off('exit', onExit)
        resolve(response)
      })
      if (message) this.#child.send(message)
    })
  }
}
