// What MQTT 5 adds, as far as MQTT.js speaks it.
import assert from 'node:assert/strict'
import { Party, inTime, pause, root, runCases } from './party.mjs'

const takenOver = 0x8e
const numbers = (count) => Array.from({ length: count }, (_, n) => String(n))

await runCases({
  async 'properties arrive as they were sent'() {
    const party = await Party.connect('props')
    await party.subscribe(`${root}/props`, { qos: 2 })
    const properties = {
      payloadFormatIndicator: true,
      contentType: 'text/plain',
      responseTopic: `${root}/answer`,
      correlationData: Buffer.from([0, 1, 2, 255]),
      userProperties: { b: ['1', '2'], größe: '温度' },
    }
    for (const qos of [0, 1, 2]) {
      await party.publish(`${root}/props`, 'x', { qos, properties })
      const got = (await party.next()).properties
      assert.deepEqual({ ...got.userProperties }, properties.userProperties)
      assert.deepEqual({ ...got, userProperties: properties.userProperties }, properties)
    }
    await party.leave()
  },

  async 'expiry counts down and ends messages'() {
    const sleeper = await Party.keep('sleeper')
    await sleeper.subscribe(`${root}/expiry/#`, { qos: 1 })
    await sleeper.leave()
    const party = await Party.connect('expiry')
    for (const [name, seconds] of [['long', 100], ['short', 1]]) {
      const properties = { messageExpiryInterval: seconds }
      await party.publish(`${root}/expiry/${name}`, name, { qos: 1, retain: true, properties })
    }
    await pause(2500)
    const awake = await Party.keep('sleeper')
    await party.subscribe(`${root}/expiry/#`, { qos: 1 })
    for (const reader of [awake, party]) {
      const [message] = await reader.expect('long')
      const left = message.properties.messageExpiryInterval
      assert.ok(left <= 98 && left >= 70, `${left} s left`)
      await reader.expectNothing()
      await reader.leave()
    }
  },

  async 'aliases save topics both ways'() {
    const sender = await Party.connect('alias-out', { autoAssignTopicAlias: true })
    assert.ok(sender.connack.properties.topicAliasMaximum > 0, 'the broker takes no aliases')
    const receiver = await Party.connect('alias-in', { properties: { topicAliasMaximum: 3 } })
    const none = await Party.connect('alias-none')
    for (const reader of [receiver, none]) await reader.subscribe(`${root}/alias/#`, { qos: 1 })
    for (const n of numbers(200)) {
      await sender.publish(`${root}/alias/${n % 7}`, n, { qos: n % 2 })
      for (const reader of [receiver, none]) {
        const [message] = await reader.expect(n)
        assert.equal(message.topic, `${root}/alias/${n % 7}`)
      }
    }
    for (const party of [sender, receiver, none]) await party.leave()
  },

  async 'subscription identifiers and options'() {
    const party = await Party.connect('ids')
    const other = await Party.connect('ids-other')
    await party.subscribe(`${root}/ids/+`, { qos: 1, properties: { subscriptionIdentifier: 7 } })
    await party.subscribe(`${root}/ids/a`, { qos: 1, properties: { subscriptionIdentifier: 8 } })
    await party.publish(`${root}/ids/a`, 'x', { qos: 1 })
    const both = await party.expect('x', 'x')
    const ids = both.map(({ properties }) => properties.subscriptionIdentifier).sort()
    assert.deepEqual(ids, [7, 8])

    await party.subscribe(`${root}/local`, { qos: 1, nl: true })
    await party.publish(`${root}/local`, 'mine', { qos: 1 })
    await other.publish(`${root}/local`, 'of another', { qos: 1 })
    await party.expect('of another')

    await other.publish(`${root}/kept`, 'kept', { qos: 1, retain: true })
    await party.subscribe(`${root}/kept`, { qos: 1, rh: 2, rap: true })
    await other.publish(`${root}/kept`, 'newer', { qos: 1, retain: true })
    const [newer] = await party.expect('newer')
    assert.equal(newer.retain, true)
    await party.subscribe(`${root}/kept`, { qos: 1, rh: 1 })
    await party.expectNothing()
    await party.subscribe(`${root}/kept`, { qos: 1, rh: 0 })
    await party.expect('newer')
    await party.leave()
    await other.leave()
  },

  async 'a second connection takes over with 0x8E'() {
    const first = await Party.keep('take')
    let goodbye
    first.client.on('disconnect', (packet) => { goodbye = packet })
    const second = await Party.keep('take')
    assert.equal(second.connack.sessionPresent, true)
    await first.closed
    await second.leave()
    assert.equal(goodbye?.reasonCode, takenOver)
  },

  async 'session expiry decides what outlives the connection'() {
    for (const [seconds, rest, present] of [[0, 0, false], [1, 2500, false], [60, 0, true]]) {
      const properties = { sessionExpiryInterval: seconds }
      await (await Party.keep(`expiry${seconds}`, { properties })).leave()
      await pause(rest)
      const again = await Party.keep(`expiry${seconds}`, { properties })
      assert.equal(again.connack.sessionPresent, present, `expiry ${seconds}`)
      await again.leave()
    }
  },

  async 'a receive maximum is kept at QoS 2'() {
    // MQTT.js ends the connection with an error when more are in flight.
    const party = await Party.connect('window', { properties: { receiveMaximum: 2 } })
    const publisher = await Party.connect('window-pub')
    await party.subscribe(`${root}/window`, { qos: 2 })
    const sent = numbers(200)
    await publisher.publishAll(`${root}/window`, sent, { qos: 2 })
    await party.expect(...sent)
    await party.leave()
    await publisher.leave()
  },

  async 'an empty client id is assigned one'() {
    const party = await Party.connect('')
    assert.ok(party.connack.properties.assignedClientIdentifier)
    await party.leave()
  },

  async 'a packet larger than the client takes is left out'() {
    const party = await Party.connect('size', { properties: { maximumPacketSize: 200 } })
    await party.subscribe(`${root}/size`, { qos: 1 })
    const publisher = await Party.connect('size-pub')
    for (const text of ['small', 'x'.repeat(1000), 'end']) {
      await publisher.publish(`${root}/size`, text, { qos: 1 })
    }
    await party.expect('small', 'end')
    await party.leave()
    await publisher.leave()
  },

  async 'a share group gives each message to one member'() {
    const members = [await Party.connect('share1'), await Party.connect('share2')]
    for (const member of members) await member.subscribe(`$share/g/${root}/share`, { qos: 1 })
    const publisher = await Party.connect('share-pub')
    const sent = numbers(60)
    await publisher.publishAll(`${root}/share`, sent, { qos: 1 })
    const got = (await Promise.all(members.map((member) => member.drain()))).flat()
    assert.deepEqual(got.map(({ text }) => text).sort((a, b) => a - b), sent)
    for (const party of [...members, publisher]) await party.leave()
  },

  async 'a will waits for its delay and a return cancels it'() {
    const watcher = await Party.connect('delay-see')
    await watcher.subscribe(`${root}/delay`, { qos: 1 })
    const mortal = (payload, willDelayInterval) => ({
      will: {
        topic: `${root}/delay`,
        payload: Buffer.from(payload),
        qos: 1,
        properties: { willDelayInterval, contentType: 'text/plain' },
      },
      properties: { sessionExpiryInterval: 60 },
    })
    await (await Party.keep('delay-back', mortal('of one who came back', 4))).die()
    await (await Party.keep('delay-back')).leave()
    const death = performance.now()
    await (await Party.keep('delay-late', mortal('late', 5))).die()
    // The first will was due before this one.
    const [message] = await watcher.expect('late')
    const waited = performance.now() - death
    assert.ok(waited >= 5000, `the will came after ${waited} ms`)
    assert.equal(message.properties.contentType, 'text/plain')
    await watcher.expectNothing()
    await watcher.leave()
  },

  async 'what was not acknowledged at QoS 2 comes again, marked as such'() {
    let arrived
    const arrival = new Promise((resolve) => { arrived = resolve })
    // Without an answer to this question MQTT.js sends no PUBREC.
    const customHandleAcks = (_topic, _payload, packet) => arrived(packet)
    const deaf = await Party.keep('again2', { customHandleAcks })
    await deaf.subscribe(`${root}/again2`, { qos: 2 })
    const publisher = await Party.connect('again2-pub')
    await publisher.publish(`${root}/again2`, 'again', { qos: 2 })
    assert.equal((await inTime(arrival, 'the first delivery')).dup, false)
    await deaf.die()
    const back = await Party.keep('again2')
    const [message] = await back.expect('again')
    assert.deepEqual([message.dup, message.qos], [true, 2])
    await back.expectNothing()
    await back.leave()
    await publisher.leave()
  },
})
