// SPDX-License-Identifier: Apache-2.0
import PulseWire
import Testing

struct WireConnectionEncodeTests {
  private func connection(_ role: Role, _ deflate: DeflateParameters? = nil, threshold: Int = 256) -> WireConnection {
    WireConnection(configuration: WireConfiguration(role: role, deflate: deflate, compressionThreshold: threshold))
  }

  private func close(_ connection: WireConnection, _ code: UInt16?, _ reason: [UInt8]) -> [UInt8] {
    var queue = ByteQueue()
    reason.withUnsafeBytes { _ = connection.encodeClose(code: code, reason: $0, maskKey: 0, into: &queue) }
    return Array(queue.readable)
  }

  @Test func bytesOfRFC6455Section5_7() {
    let hello = Array("Hello".utf8)
    #expect(connection(.server).encoded(.text, hello) == [0x81, 0x05] + hello)
    let key = UInt32(littleEndian: 0x3D21_FA37)
    #expect(
      connection(.client).encoded(.text, hello, maskKey: key)
        == [0x81, 0x85, 0x37, 0xFA, 0x21, 0x3D, 0x7F, 0x9F, 0x4D, 0x51, 0x58])
  }

  @Test func bytesOfRFC7692Section7_2_3() {
    let hello = Array("Hello".utf8)
    let server = connection(.server, DeflateParameters(), threshold: 0)
    #expect(server.encoded(.text, hello) == [0xC1, 0x07, 0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00])
    #expect(server.encoded(.text, hello).count < 9)
    // Nothing to compress in nothing.
    #expect(server.encoded(.text, []) == [0x81, 0x00])
  }

  @Test func lengthsAreMinimal() {
    for (count, header) in [
      (0, [0x82, 0]), (125, [0x82, 125]), (126, [0x82, 126, 0, 126]), (65_535, [0x82, 126, 255, 255]),
      (65_536, [0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
    ] as [(Int, [UInt8])] {
      let body = [UInt8](repeating: 9, count: count)
      #expect(connection(.server).encoded(.binary, body) == header + body)
    }
  }

  @Test func framesAreAppended() {
    let client = connection(.client)
    var queue = ByteQueue()
    for text in ["one", "two"] {
      Array(text.utf8).withUnsafeBytes { _ = client.encode(.text, $0, maskKey: 0, into: &queue) }
    }
    let server = connection(.server)
    let frames = Array(queue.readable)
    #expect(
      server.events(frames) == [.message(.text, Array("one".utf8)), .message(.text, Array("two".utf8))])
  }

  @Test func thresholdOfCompression() {
    let client = connection(.client, DeflateParameters(), threshold: 256)
    #expect(client.encoded(.text, [UInt8](repeating: 97, count: 255)).first == 0x81)
    #expect(client.encoded(.text, [UInt8](repeating: 97, count: 256)).first == 0xC1)
    #expect(client.plainBytesOut == 256)
  }

  @Test func noCompressionWithAWindowThatZlibCannotDo() {
    let parameters = DeflateParameters(clientMaxWindowBits: 8, serverMaxWindowBits: 9)
    let body = [UInt8](repeating: 97, count: 5000)
    #expect(connection(.client, parameters).encoded(.text, body).first == 0x81)
    #expect(connection(.server, parameters).encoded(.text, body).first == 0xC1)
  }

  @Test func whatDoesNotShrinkGoesAsItIsWhenNoHistoryIsKept() {
    var numbers = Numbers(seed: 5)
    let body = numbers.bytes(1000)
    #expect(connection(.client, DeflateParameters(clientNoContextTakeover: true)).encoded(.binary, body).first == 0x82)
    #expect(connection(.client, DeflateParameters()).encoded(.binary, body).first == 0xC2)
  }

  @Test func controlFramesAreBounded() {
    let client = connection(.client)
    var queue = ByteQueue()
    [UInt8](repeating: 0, count: 126).withUnsafeBytes { body in
      var accepted = client.encodePing(body, maskKey: 1, into: &queue)
      #expect(!accepted)
      accepted = client.encodePong(body, maskKey: 1, into: &queue)
      #expect(!accepted)
      let isEmpty = queue.isEmpty
      #expect(isEmpty)
      accepted = client.encodePing(UnsafeRawBufferPointer(rebasing: body[..<125]), maskKey: 1, into: &queue)
      #expect(accepted)
    }
    let count = queue.count
    #expect(count == 131)
  }

  @Test func closeFrames() {
    #expect(close(connection(.server), nil, []) == [0x88, 0])
    #expect(close(connection(.server), nil, [65]) == [0x88, 0])
    #expect(close(connection(.server), 1000, []) == [0x88, 2, 0x03, 0xE8])
    #expect(close(connection(.server), 4999, [65]) == [0x88, 3, 0x13, 0x87, 65])
    // Codes that must not travel.
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535] as [UInt16] {
      #expect(close(connection(.server), code, [65]) == [0x88, 0])
    }
  }

  @Test func longReasonIsCutBetweenCharacters() {
    // 41 characters of 3 bytes are 123 bytes.
    let full = Array(String(repeating: "\u{20AC}", count: 42).utf8)
    #expect(close(connection(.server), 1000, full).count == 2 + 2 + 123)
    let shifted = [0x61] + full
    let frame = close(connection(.server), 1000, shifted)
    #expect(frame.count == 2 + 2 + 121)
    #expect(connection(.client).events(frame) == [.close(1000, Array(shifted[..<121]))])
  }

  @Test func nothingFollowsAClose() {
    let client = connection(.client)
    #expect(!client.closeSent)
    #expect(close(client, 1000, []).count == 8)
    #expect(client.closeSent)
    #expect(close(client, 1000, []).isEmpty)
    #expect(client.encoded(.text, [65]).isEmpty)
    var queue = ByteQueue()
    let nothing = UnsafeRawBufferPointer(start: nil, count: 0)
    let accepted = [
      client.encodePing(nothing, maskKey: 0, into: &queue), client.encodePong(nothing, maskKey: 0, into: &queue),
      client.encodeFragment(.text, isFinal: true, nothing, maskKey: 0, into: &queue),
    ]
    let isEmpty = queue.isEmpty
    #expect(accepted == [false, false, false] && isEmpty)
    // The peer may still send until it answers.
    #expect(client.events([0x81, 0x01, 0x61, 0x88, 0x00]) == [.message(.text, [0x61]), .close(1005, [])])
    #expect(client.closeReceived)
  }

  /// In fragments, so that control frames can go between (RFC 6455 §5.4).
  @Test(arguments: [0, 125, 65_519, 65_520, 65_521, 65_520 * 2 + 125, 65_520 * 3 + 126, 300_000])
  func aLargeMessageInFragments(count: Int) {
    var numbers = Numbers(seed: UInt64(count))
    let body = numbers.bytes(count)
    for deflate in [nil, DeflateParameters()] {
      let client = connection(.client, deflate)
      var queue = ByteQueue()
      let isCompressed = body.withUnsafeBytes {
        client.encodeFragments(.binary, $0, compresses: true, into: &queue, maskKey: { UInt32(truncatingIfNeeded: numbers.next()) })
      }
      #expect(isCompressed == (deflate != nil && count >= 256))
      var frames = Array(queue.readable)
      if !isCompressed && count > 2 * 65_520 {
        #expect(
          frames[0] == 0x02 && frames[65_528] == 0x00 && frames.count == count + 8 * ((count - 1) / 65_520) + (count % 65_520 < 126 ? 6 : 8)
        )
      }
      #expect(connection(.server, deflate).events(frames) == [.message(.binary, body)])
      if isCompressed { continue }
      let payload = frames.withUnsafeMutableBytes { Array(WireConnection.unmaskedPayload(of: $0)) }
      #expect(payload == body)
    }
  }

  @Test func theCloseFrameAheadIsFound() {
    let server = connection(.server)
    let medium = server.encoded(.binary, [UInt8](repeating: 8, count: 300))
    let large = server.encoded(.text, [UInt8](repeating: 0x88, count: 70_000))
    let ping: [UInt8] = [0x89, 1, 0x88]
    let farewell = close(server, 1000, Array("bye".utf8))
    func found(_ bytes: [UInt8]) -> (UInt16, [UInt8])? {
      bytes.withUnsafeBytes { bytes in
        connection(.client).closeFrame(in: bytes).map { ($0.code, Array($0.reason)) }
      }
    }
    let all = medium + ping + large + farewell
    #expect(found(all)! == (1000, Array("bye".utf8)))
    #expect(found(farewell + [0x88, 0x00])! == (1000, Array("bye".utf8)))
    #expect(found([0x88, 0x00])! == (1005, []))
    for count in 0..<farewell.count { #expect(found(medium + farewell.prefix(count)) == nil) }
    #expect(found([0x88, 2, 0, 1]) == nil && found([0x88, 3, 3, 0xE8, 0xFF]) == nil)
    #expect(found([0x82, 127, 255, 255, 255, 255, 255, 255, 255, 255, 0x88, 0]) == nil)
  }
}
