// Uses a broker from a page, as pages do, and tells the server that it came from how each case
// ended: a line of text each, then `end`. What to do is in the query: `cases`, the names of a list
// below, and the addresses `ws`, `wss`, and `closed`, where nobody comes in without a password.
import { Party, inTime, next, same } from './party.mjs'

const query = new URLSearchParams(location.search)
const closed = query.get('closed')
let topics = 0

// What holds of `ws` and `wss` in MQTT 3.1.1 and 5 alike.
const everywhere = {
  async 'every QoS arrives'({ connect, topic }) {
    const [sender, receiver] = [await connect(), await connect()]
    await receiver.subscribe(topic, 2)
    for (const qos of [0, 1, 2]) {
      await sender.publish(topic, `at ${qos}`, { qos })
      await receiver.expect(`at ${qos}`, qos)
    }
    const many = Array.from({ length: 200 }, (_, number) => String(number))
    for (const text of many) sender.publish(topic, text, { qos: 1 })
    for (const text of many) await receiver.expect(text, 1)
    await sender.leave()
    await receiver.leave()
  },

  async 'a retained message waits for who comes later'({ connect, topic }) {
    const sender = await connect()
    await sender.publish(topic, 'kept', { qos: 1, retain: true })
    const receiver = await connect()
    await receiver.subscribe(topic, 1)
    await receiver.expect('kept', 1, true)
    await sender.publish(topic, '', { qos: 1, retain: true })
    await receiver.expect('', 1)
    const late = await connect()
    await late.subscribe(topic, 1)
    await sender.publish(topic, 'live', { qos: 1 })
    await late.expect('live', 1)
  },

  async 'a mebibyte goes there and back'({ connect, topic }) {
    const party = await connect()
    await party.subscribe(topic, 2)
    const payload = Uint8Array.from({ length: 1024 * 1024 }, (_, at) => (at * 31) % 251)
    for (const qos of [0, 1, 2]) {
      await party.publish(topic, payload, { qos })
      const message = await party.next()
      same(message.payload.length, payload.length, `length at ${qos}`)
      if (message.payload.some((byte, at) => byte !== payload[at])) throw new Error(`at ${qos}`)
    }
    await party.leave()
  },

  async 'the will of a page that is closed'({ connect, topic, url, version }) {
    const heir = await connect()
    await heir.subscribe(topic, 1)
    const tab = document.createElement('iframe')
    const ready = new Promise((resolve) => addEventListener('message', resolve, { once: true }))
    tab.src = `tab.html#${encodeURIComponent(JSON.stringify([url, version, topic]))}`
    document.body.append(tab)
    same((await inTime(ready, 'the other page')).data, 'connected', 'the other page')
    tab.remove()
    await heir.expect('the page is gone', 1)
  },

  async 'a session outlives a connection that the broker cuts'({ keep, connect, topic, version }) {
    const [receiver, sender] = [await keep(), await connect()]
    await receiver.subscribe(topic, 2)
    let said
    receiver.client.once('disconnect', (packet) => { said = packet.reasonCode })
    await receiver.provoke()
    same(said, version === 5 ? 0x82 : undefined, 'the reason of the DISCONNECT')
    for (const qos of [1, 2]) await sender.publish(topic, `while away, ${qos}`, { qos })
    await receiver.comeBack()
    for (const qos of [1, 2]) await receiver.expect(`while away, ${qos}`, qos)
    await receiver.leave()
  },

  async 'a refusal says why'({ options, version }) {
    const user = { username: 'nobody', password: 'wrong' }
    // MQTT 3 has one code for both.
    const refusals = version === 5
      ? [[user, 0x86, 'Bad User Name or Password'], [{}, 0x87, 'Not authorized']]
      : [[user, 5, 'Not authorized'], [{}, 5, 'Not authorized']]
    for (const [more, code, text] of refusals) {
      const refused = await Party.connect(closed, { ...options, ...more }).catch((error) => error)
      same([refused.code, refused.message], [code, `Connection refused: ${text}`], 'refused')
    }
  },
}

// The broker is killed and started again: MQTT.js comes back by itself.
async function restart({ keep, topic }) {
  const again = { reconnectPeriod: 50 }
  const [receiver, sender] = [await keep(), await keep(again)]
  await receiver.subscribe(topic, 1)
  await receiver.leave()
  await sender.publish(topic, 'before', { qos: 1 })
  const back = next(sender.client, 'connect')
  same((await fetch('/restart', { method: 'POST' })).status, 200, 'restart')
  same((await back).sessionPresent, true, 'session present of the sender')
  await sender.publish(topic, 'after', { qos: 1 })
  await receiver.comeBack()
  for (const text of ['before', 'after']) await receiver.expect(text, 1)
  await sender.leave()
}

// A WebSocket without MQTT.js: whether it opens, and what the broker made of the offers.
async function open(url, protocols) {
  const socket = protocols ? new WebSocket(url, protocols) : new WebSocket(url)
  const outcome = new Promise((resolve) => {
    socket.onopen = () => resolve([socket.protocol, socket.extensions])
    socket.onclose = (event) => resolve(event.code)
  })
  return [await inTime(outcome, 'a WebSocket'), socket]
}

async function bare(url) {
  const offers = [
    [undefined, 1006],
    ['chat', 1006],
    ['mqtt', ['mqtt', '']],
    [['chat', 'mqtt'], ['mqtt', '']],
    ['mqttv3.1', ['mqttv3.1', '']],
  ]
  for (const [offer, wanted] of offers) {
    const [outcome, socket] = await open(url, offer)
    same(outcome, wanted, `what comes of ${offer}`)
    socket.close()
  }
  const [, socket] = await open(url, 'mqtt')
  const end = new Promise((resolve) => { socket.onclose = (event) => resolve(event.code) })
  socket.send('text')
  same(await inTime(end, 'the end'), 1003, 'the end of one that sends text')
}

async function comesIn(url) {
  const party = await Party.connect(url, {})
  await party.leave()
}

// The broker answers in MQTT, if only to say no.
async function isHeard(url) {
  const refused = await Party.connect(url, {}).catch((error) => error)
  same(refused.message, 'Connection refused: Not authorized', 'refused')
}

async function staysOut(url) {
  same((await open(url, 'mqtt'))[0], 1006, 'a WebSocket')
  const closed = mqtt.connect(url, { reconnectPeriod: 0 })
  let connected = false
  closed.on('connect', () => { connected = true })
  closed.on('error', () => {})
  await next(closed, 'close')
  same(connected, false, 'connected')
}

function* all() {
  for (const scheme of ['ws', 'wss']) {
    for (const version of [4, 5]) {
      const suffix = `${scheme}, ${version === 5 ? 'MQTT 5' : 'MQTT 3.1.1'}`
      for (const [name, check] of Object.entries({ ...everywhere, restart })) {
        yield [`${name} (${suffix})`, () => check(scene(query.get(scheme), version))]
      }
    }
    yield [`a WebSocket without MQTT.js (${scheme})`, () => bare(query.get(scheme))]
  }
}

function* stranger() {
  yield ['a page of another origin stays out', () => staysOut(query.get('ws'))]
  yield ['where any page may come it is heard', () => isHeard(closed)]
}

function* unbelieving() {
  yield ['a certificate that is not believed', () => staysOut(query.get('wss'))]
  yield ['and without TLS it comes in', () => comesIn(query.get('ws'))]
}

// What a case works with: a topic and client ids of its own.
function scene(url, version) {
  const topic = `browser/${topics += 1}`
  const options = { protocolVersion: version }
  let parties = 0
  const kept = version === 5 ? { properties: { sessionExpiryInterval: 300 } } : {}
  const keep = (more) => {
    const clientId = `${topic}/${parties += 1}`
    return Party.connect(url, { ...options, clientId, clean: false, ...kept, ...more })
  }
  return { url, version, topic, options, connect: () => Party.connect(url, options), keep }
}

const report = (line) => fetch('/report', { method: 'POST', body: line })

for (const [name, check] of { all, stranger, unbelieving }[query.get('cases')]()) {
  try {
    await check()
    await report(`ok: ${name}`)
  } catch (error) {
    await report(`failed: ${name}: ${error.message}`)
  }
}
await report('end')
