// HTTP clients that can send the request. To add one, add an entry.
//
// `create({ url, appSecret })` returns `mint(identity)`, which resolves to `{ sessionToken, expiresAt, identity }`. The code
// is what a user of that client would write.
import http from 'node:http'
import https from 'node:https'
import { makePlainMint } from './plain-mint.mjs'

export const FLOOR = 'node:http'
export const OURS = 'videokit'
export const GOT_MINIMAL = 'got, minimal'
export const PREDECESSOR = 'videokit 0.0.6 (node-fetch)'

export const minters = {
  [FLOOR]: {
    async create({ url, appSecret }) {
      return makePlainMint({ url, appSecret })
    },
  },
  undici: {
    package: 'undici',
    async create({ url, appSecret }) {
      const { request, Agent } = await import('undici')
      const dispatcher = new Agent()
      return async identity => {
        const { statusCode, body } = await request(`${url}/v1/sessions`, { ...init(appSecret, identity), dispatcher })
        if (statusCode !== 200) throw new Error(String(statusCode))
        return body.json()
      }
    },
  },
  [PREDECESSOR]: {
    package: 'node-fetch',
    async create({ url, appSecret }) {
      const { default: nodeFetch } = await import('node-fetch')
      return mintByFetch(nodeFetch, url, appSecret)
    },
  },
  'node-fetch, own keep-alive agent': {
    package: 'node-fetch',
    async create({ url, appSecret }) {
      const { default: nodeFetch } = await import('node-fetch')
      const { Agent } = url.startsWith('https:') ? https : http
      return mintByFetch(nodeFetch, url, appSecret, { agent: new Agent({ keepAlive: true }) })
    },
  },
  [OURS]: {
    package: '@video-io/videokit-nodejs',
    async create({ url, appSecret }) {
      const { VKitClient } = await import('@video-io/videokit-nodejs')
      const vkit = new VKitClient({ appSecret, baseUrl: url })
      return identity => vkit.getSessionToken(identity)
    },
  },
  // The HTTP client of our mints without our code, with every supported option that makes it cheaper.
  [GOT_MINIMAL]: {
    package: 'got',
    async create({ url, appSecret }) {
      const { got, Options } = await import('got')
      const endpoint = new URL('/v1/sessions', url)
      const { request, Agent } = url.startsWith('https:') ? https : http
      const agent = new Agent({ keepAlive: true, maxSockets: 50 })
      const template = makeGotTemplate(Options, endpoint)
      return identity =>
        new Promise((resolve, reject) => {
          const { body, ...options } = init(appSecret, identity)
          template.request = to =>
            new Promise(onResponse => {
              request(to, { ...options, agent })
                .on('response', onResponse)
                .on('error', reject)
                .end(body)
            })
          const chunks = []
          got(undefined, undefined, template)
            .on('data', chunk => chunks.push(chunk))
            .on('end', () => resolve(JSON.parse(Buffer.concat(chunks))))
            .on('error', reject)
            .end()
        })
    },
  },
  axios: {
    package: 'axios',
    async create({ url, appSecret }) {
      const { default: axios } = await import('axios')
      const { headers } = init(appSecret)
      return async identity => {
        const { data } = await axios.post(`${url}/v1/sessions`, { identity, scopes: [] }, { headers })
        return data
      }
    },
  },
  'got, defaults': {
    package: 'got',
    async create({ url, appSecret }) {
      const { default: got } = await import('got')
      const { headers } = init(appSecret)
      return identity => got.post(`${url}/v1/sessions`, { json: { identity, scopes: [] }, headers }).json()
    },
  },
  fetch: {
    async create({ url, appSecret }) {
      return mintByFetch(fetch, url, appSecret)
    },
  },
  ky: {
    package: 'ky',
    async create({ url, appSecret }) {
      const { default: ky } = await import('ky')
      const { headers } = init(appSecret)
      return identity => ky.post(`${url}/v1/sessions`, { json: { identity, scopes: [] }, headers }).json()
    },
  },
}

function makeGotTemplate(Options, url) {
  const template = new Options()
  template.url = url
  template.isStream = true
  template.method = 'POST'
  template.headers = {}
  template.cacheOptions = {}
  template.followRedirect = false
  template.throwHttpErrors = false
  template.decompress = false
  template.retry = { ...template.retry, limit: 0 }
  return template
}

function init(appSecret, identity) {
  return {
    method: 'POST',
    headers: {
      authorization: `Bearer ${appSecret}`,
      'content-type': 'application/json',
      accept: 'application/json',
    },
    body: JSON.stringify({ identity, scopes: [] }),
  }
}

function mintByFetch(fetchOf, url, appSecret, more) {
  return async identity => {
    const response = await fetchOf(`${url}/v1/sessions`, { ...init(appSecret, identity), ...more })
    const data = await response.json()
    if (data.error) throw new Error(data.error)
    return data
  }
}
