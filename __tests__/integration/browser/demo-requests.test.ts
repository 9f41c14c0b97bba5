import { describe, expect, it } from '@jest/globals'
import { once } from 'node:events'
import http from 'node:http'
import { SCRIPT, startServer } from './demo.js'

describe('the server of the demo page', () => {
  async function send(
    url: string,
    method: string,
    headers: http.OutgoingHttpHeaders = {},
  ): Promise<http.IncomingMessage> {
    const request = http.request(url, { method, headers, agent: false }).end()
    const [response] = (await once(request, 'response')) as [http.IncomingMessage]
    return response.resume()
  }

  it('lets a cookie that it has set choose the user, and nothing else', async () => {
    const { url } = await startServer()
    const origin = url
    const token = `${url}/demo/1/token`
    const signIn = await send(`${url}/demo/1/sign-in`, 'POST', { origin })
    const [setCookie = ''] = signIn.headers['set-cookie'] ?? []
    expect(setCookie).toMatch(/^vkit_demo=[\w-]{43}; Path=\/demo\/1; HttpOnly; SameSite=Strict$/)
    const [cookie] = setCookie.split(';')
    expect((await send(token, 'POST', { origin, cookie })).statusCode).toBe(200)
    expect((await send(`${token}?user=anna`, 'POST', { origin, cookie: 'vkit_demo=anna' })).statusCode).toBe(401)
    expect((await send(`${url}/demo/2/token`, 'POST', { origin, cookie })).statusCode).toBe(401)
    await send(`${url}/demo/1/sign-out`, 'POST', { origin, cookie })
    expect((await send(token, 'POST', { origin, cookie })).statusCode).toBe(401)
  })

  it.each<[http.OutgoingHttpHeaders, string]>([
    [{ host: 'attacker.example' }, 'GET'],
    [{ host: '127.0.0.1.attacker.example:3000', origin: 'http://127.0.0.1.attacker.example:3000' }, 'POST'],
    [{ origin: 'http://127.0.0.1:1' }, 'POST'],
    [{ origin: 'null' }, 'POST'],
    [{}, 'POST'],
  ])('refuses requests of other sites: %j %s', async (headers, method) => {
    const { url } = await startServer()
    for (const place of ['/demo', '/demo/1/sign-in', '/demo/1/token', '/demo/keep-session.js']) {
      expect((await send(url + place, method, headers)).statusCode).toBe(403)
    }
  })

  it.each(['http://cdn.test/videokit.js', 'videokit.js', `${SCRIPT}?sessionToken=eyJ`])(
    'does not start with the script %s',
    async script => {
      await expect(startServer(script)).rejects.toThrow('VIDEOKIT_SCRIPT must be an https URL without a token.')
    },
  )
})
