// Runs one program. Its servers listen on free ports, answer what the page says they do, and are stopped.
import { once } from 'node:events'
import net from 'node:net'
import { pathToFileURL } from 'node:url'
import { workerData } from 'node:worker_threads'

const { file, answers } = workerData
const servers = new Set()
const starting = []
const { listen } = net.Server.prototype

net.Server.prototype.listen = function (where, ...rest) {
  servers.add(this)
  starting.push(once(this, 'listening'))
  return listen.call(this, typeof where === 'object' && where !== null ? { ...where, port: 0 } : 0, ...rest)
}

await import(pathToFileURL(file).href)

await Promise.all(starting)
for (const server of servers) if (!server.listening) servers.delete(server)
if (answers.length > 0 && servers.size === 0) throw new Error('It starts no server that could answer.')
for (const server of servers) for (const answer of answers) await ask(server, answer)
for (const server of servers) {
  server.close()
  server.closeAllConnections?.()
}

async function ask(server, { method, path, status }) {
  const { port, address, family } = server.address()
  const host = family === 'IPv6' ? '[::1]' : address
  const answer = await fetch(`http://${host}:${port}${path}`, { method, headers: { authorization: 'Bearer example' } })
  const body = await answer.text()
  if (answer.status !== status) throw new Error(`${method} ${path} answered ${answer.status}, not ${status}: ${body}`)
}
