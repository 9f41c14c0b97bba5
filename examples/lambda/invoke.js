// Calls handler.js as Lambda does, with the part of an event that it reads. `npm start -- lambda` runs it.
import { handler } from './handler.js'

export async function run() {
  const event = {
    version: '2.0',
    rawPath: '/token',
    headers: { authorization: 'Bearer …' },
    requestContext: {
      http: { method: 'GET', path: '/token' },
      authorizer: { jwt: { claims: { sub: 'END_USER_ID' }, scopes: [] } },
    },
  }
  console.log(JSON.stringify(await handler(event), null, 2))
}
