// Mints a token for each of a list of users, and prints one line of JSON each. `npm start -- script alice bob` runs it.
const USERS = ['alice', 'bob', 'carol']

export async function run(vkit, users) {
  for await (const { identity, token, error } of vkit.getSessionTokens(users.length > 0 ? users : USERS)) {
    if (error) console.error(`${identity}: ${error.message}`)
    else console.log(JSON.stringify({ identity, sessionToken: token.sessionToken, expiresAt: token.expiresAt }))
  }
}
