// The mint for all cachers. It uses only node:http, which excludes the cost of an HTTP client.
import http from 'node:http'
import https from 'node:https'

export function makePlainMint({ url, appSecret }) {
  const endpoint = new URL('/v1/sessions', url)
  const { request, Agent } = endpoint.protocol === 'https:' ? https : http
  const options = {
    method: 'POST',
    agent: new Agent({ keepAlive: true, maxSockets: 50 }),
    headers: {
      authorization: `Bearer ${appSecret}`,
      'content-type': 'application/json',
      accept: 'application/json',
    },
  }
  return identity =>
    new Promise((resolve, reject) => {
      const sent = request(endpoint, options, response => {
        let text = ''
        response.setEncoding('utf8')
        response.on('data', chunk => (text += chunk))
        response.on('end', () => resolve(JSON.parse(text)))
      })
      sent.on('error', reject)
      sent.end(JSON.stringify({ identity, scopes: [] }))
    })
}
