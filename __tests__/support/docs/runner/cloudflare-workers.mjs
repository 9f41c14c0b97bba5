// The bindings of a Worker: those of the environment, and a KV namespace.
class KvNamespace {
  #records = new Map()

  async get(key) {
    return this.#records.get(key) ?? null
  }

  async put(key, text, { expirationTtl }) {
    if (!Number.isInteger(expirationTtl) || expirationTtl < 60) throw new Error('expirationTtl must be 60 or more.')
    this.#records.set(key, text)
  }

  async delete(key) {
    this.#records.delete(key)
  }
}

export const env = { ...process.env, TOKENS: new KvNamespace() }
