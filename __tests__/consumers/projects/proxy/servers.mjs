import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import http from 'node:http'
import net from 'node:net'
import forge from 'node-forge'

/** A self-signed certificate for these host names, as PEM. */
export function makeCertificate(hosts) {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  })
  const certificate = forge.pki.createCertificate()
  certificate.publicKey = forge.pki.publicKeyFromPem(publicKey)
  certificate.validity = {
    notBefore: new Date(Date.now() - 3_600_000),
    notAfter: new Date(Date.now() + 30 * 86_400_000),
  }
  const name = [{ name: 'commonName', value: 'videokit test' }]
  certificate.setSubject(name)
  certificate.setIssuer(name)
  certificate.setExtensions([
    { name: 'basicConstraints', cA: true },
    { name: 'subjectAltName', altNames: hosts.map(value => ({ type: 2, value })) },
  ])
  certificate.sign(forge.pki.privateKeyFromPem(privateKey), forge.md.sha256.create())
  return { key: privateKey, cert: forge.pki.certificateToPem(certificate) }
}

/**
 * A proxy that opens tunnels to local ports for all names, which need not exist. `refusal` is its response instead, and
 * with an empty one it is silent. `heard` has the text that clients sent, with one character per byte.
 */
export async function startProxy() {
  const proxy = { heard: '', connects: [], refusal: undefined, sockets: new Set() }
  const server = http.createServer((_, response) => {
    proxy.heard += 'a request that is not CONNECT'
    response.end()
  })
  server.on('connection', socket => proxy.sockets.add(socket.on('error', () => undefined)))
  server.on('connect', ({ url, rawHeaders }, socket) => {
    proxy.connects.push(url)
    proxy.heard += `${url} ${rawHeaders.join()}`
    socket.on('data', chunk => (proxy.heard += chunk.toString('latin1')))
    if (proxy.refusal !== undefined) return void (proxy.refusal && socket.end(proxy.refusal))
    const upstream = net.connect(Number(url.split(':')[1]), '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n')
      socket.pipe(upstream).pipe(socket)
    })
    upstream.on('error', () => socket.destroy())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  proxy.server = server
  proxy.port = server.address().port
  proxy.stop = () => {
    server.close()
    for (const socket of proxy.sockets) socket.destroy()
  }
  return proxy
}
