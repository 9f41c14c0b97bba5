/** A token store on a server that keeps texts: `serveTexts` of edge.mjs. */
export function createHttpStore(url) {
  const send = (key, method, body) => fetch(`${url}/${encodeURIComponent(key)}`, { method, body })
  return {
    async get(key) {
      const response = await send(key, 'GET')
      const text = await response.text()
      return response.ok ? text : undefined
    },
    set: async (key, value) => void (await (await send(key, 'PUT', value)).text()),
    delete: async key => void (await (await send(key, 'DELETE')).text()),
  }
}
