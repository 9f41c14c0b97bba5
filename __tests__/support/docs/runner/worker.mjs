// Runs one program. Its servers listen on free ports, must respond as the page describes, and are stopped at the end.
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
if (answers.length > 0 && servers.size === 0) throw new Error('The program starts no server that could respond.')
for (const server of servers) for (const response of answers) await expectResponse(server, response)
for (const server of servers) {
  server.close()
  server.closeAllConnections?.()
}

async function expectResponse(server, { method, path, status }) {
  const { port, address, family } = server.address()
  const url = `http://${family === 'IPv6' ? '[::1]' : address}:${port}${path}`
  await expectStatus(status, { method, url, authorization: 'Bearer example' })
  if (status !== 200) return
  await expectStatus(401, { method, url, authorization: 'Bearer stranger' })
  if (address !== '127.0.0.1')
    throw new Error(`The program listens on ${address} although its login is only an example.`)
}

async function expectStatus(expected, { method, url, authorization }) {
  const { status } = await fetch(url, { method, headers: { authorization } })
  if (status !== expected) throw new Error(`${method} ${url}, ${authorization}: ${status} instead of ${expected}`)
}
