const assert = require('node:assert/strict')
const useSdk = require('./use-sdk.cjs')

const BASE = 'https://gateway.example'
const TOKEN = { sessionToken: 'opaque-token', expiresAt: '2099-01-01T00:00:00Z', identity: 'user' }

/** Mints from the gateway, which loads got, and then from the tool. A request that matches nothing is refused. */
module.exports = async function intercept(sdk, tool) {
  await useSdk(sdk)
  const stop = { nock: startNock, msw: startMsw }[tool]()
  assert.equal((await mint(sdk, BASE)).sessionToken, TOKEN.sessionToken)
  const failure = await mint(sdk, `${BASE}/other`).catch(error => error)
  assert.equal(failure.code, 'VKIT_CONNECTION')
  assert.match(failure.message, new RegExp(`: ${tool} intercepted the request`))
  stop()
}

function mint({ VKitClient }, baseUrl) {
  return new VKitClient({ appSecret: 'secret', baseUrl }).getSessionToken('user')
}

function startNock() {
  const nock = require('nock')
  nock(BASE).post('/v1/sessions').matchHeader('authorization', 'Bearer secret').reply(200, TOKEN)
  return nock.restore
}

function startMsw() {
  const { http, HttpResponse } = require('msw')
  const { setupServer } = require('msw/node')
  const server = setupServer(http.post(`${BASE}/v1/sessions`, () => HttpResponse.json(TOKEN)))
  server.listen({ onUnhandledRequest: 'error' })
  return () => server.close()
}
