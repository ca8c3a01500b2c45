// SPDX-License-Identifier: Apache-2.0
import Foundation
import PulseWire
import Testing

@testable import PulseTopics

@Suite struct FrameTests {
  private let encoder = FrameEncoder(compressionThreshold: 200)

  private func delivery(_ info: TopicInfo, _ payload: [UInt8], _ stamps: Stamps = Stamps()) throws -> Delivery {
    let topic = Topic(info, epoch: Array("e"), seed: 1, now: 0)
    topic.attach(0)
    #expect(topic.append(try publication(info, payload, stamps).get(), now: 0) == .appended(offset: 1, endsStale: false))
    var deliveries: [Delivery] = []
    topic.read(0, into: &deliveries, now: 0)
    return try #require(deliveries.first)
  }

  @Test(arguments: [0, 1, 125, 126, 127, 0xFFFF, 0x1_0000, 70_000])
  func aClientReadsFramesOfAllSizes(_ size: Int) {
    let payload = [UInt8](repeating: 0x61, count: size)
    let frame = payload.withUnsafeBytes { SharedFrame(.binary, $0) }
    #expect(Decoder(compressed: false).read(frame) == [.binary(payload)])
    let split = payload.withUnsafeBytes {
      SharedFrame(.text, head: $0, body: UnsafeRawBufferPointer(rebasing: $0[..<(size / 2)]), tail: 0x7D)
    }
    #expect(Decoder(compressed: false).read(split) == [.text(payload + payload[..<(size / 2)] + [0x7D])])
    let shorter = encoder.compress(frame, .binary)
    let decoder = Decoder(compressed: true)
    #expect(decoder.read(shorter) == [.binary(payload)])
    #expect(shorter.isCompressed == (size >= 200) && (shorter === frame) == (size < 200))
  }

  @Test func controlFramesKeepToTheirSize() {
    let decoder = Decoder(compressed: false)
    let long = [UInt8](repeating: 0x70, count: 200)
    #expect(decoder.read(long.withUnsafeBytes { SharedFrame.control(.pong, $0) }) == [.pong(Array(long[..<125]))])
    // Cut before the character that does not fit.
    let close = SharedFrame.close(4008, Array(String(repeating: "a", count: 122) + "€"))
    #expect(close.count == 2 + 2 + 122)
    #expect(decoder.read(close) == [.close(4008)])
  }

  @Test func theEnvelopeHasTypeOffsetsAndStamps() throws {
    let info = makeInfo("price.SOL")
    let payload = Array(#"{"symbol":"SOL","type":"price_update","price":"0.1"}"#)
    let stamps = Stamps(exchange: 1_764_471_234_567_123_456, received: 0, published: 1_764_471_234_568_000_999)
    let frame = try delivery(info, payload, stamps).frame(.pulse, compressed: false, info, encoder)
    let expected =
      #"{"type":"price_update","topic":"price.SOL","o":1,"p":0,"t":[1764471234567.123,null,1764471234568.000],"data":"#
      + text(payload) + "}"
    #expect(Decoder(compressed: false).read(frame) == [.text(Array(expected))])
    let plain = try delivery(info, payload).frame(.plain, compressed: false, info, encoder)
    #expect(Decoder(compressed: false).read(plain) == [.text(payload)])
  }

  @Test(arguments: [
    ("[1,2]", "message"), (#"{"a":1}"#, "message"), (#"{"type":5}"#, "message"), (#"{"type":"a\"b"}"#, "a\"b"),
    (#"{"type":"x","type":"y"}"#, "x"), ("\"text\"", "message"), (#"{"t\u0079pe":"z"}"#, "z"), (" 7 ", "message"),
    ("{\"type\":\"\(String(repeating: "t", count: 65))\"}", "message"),
  ])
  func theTypeIsThatOfTheObject(_ payload: String, _ type: String) throws {
    let info = makeInfo("a")
    let frame = try delivery(info, Array(payload)).frame(.pulse, compressed: false, info, encoder)
    guard case .text(let bytes) = try #require(Decoder(compressed: false).read(frame).first) else { return }
    #expect(object(bytes)["type"] as? String == type)
  }

  @Test func oneFrameIsMadeForAll() throws {
    let info = makeInfo("a")
    let pad = String(repeating: "abc", count: 300)
    let delivery = try delivery(info, Array("{\"pad\":\"\(pad)\"}"))
    for form in [Form.pulse, .plain] {
      let frame = delivery.frame(form, compressed: false, info, encoder)
      let small = delivery.frame(form, compressed: true, info, FrameEncoder(compressionThreshold: 1))
      #expect(frame === delivery.frame(form, compressed: false, info, encoder))
      #expect(small === delivery.frame(form, compressed: true, info, encoder))
      #expect(small.isCompressed && small.count < frame.count)
      let decoder = Decoder(compressed: true)
      let seen = Decoder(compressed: false).read(frame)
      // No history is kept between frames: the same one can come twice.
      #expect(decoder.read(small) == seen && decoder.read(small) == seen && decoder.compressedBytes > 0)
    }
    #expect(encoder.framesEncoded == 2 && encoder.framesCompressed == 0)
  }

  @Test func whatDoesNotBecomeShorterGoesOutAsItIs() throws {
    let info = makeInfo("a") { $0.isBinary = true }
    var dice = Dice(5)
    let noise = (0..<1000).map { _ in UInt8(dice.roll(256)) }
    let delivery = try delivery(info, noise)
    let frame = delivery.frame(.plain, compressed: true, info, encoder)
    #expect(!frame.isCompressed && frame === delivery.frame(.plain, compressed: false, info, encoder))
  }

  @Test func binaryTopicsHaveAShortHeader() throws {
    let info = makeInfo("b", number: 0x0102_0304) { $0.isBinary = true }
    let frame = try delivery(info, [9, 8]).frame(.pulse, compressed: false, info, encoder)
    #expect(Decoder(compressed: false).read(frame) == [.binary([1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 1, 9, 8])])
  }

  @Test func threadsAgreeOnOneFrame() async throws {
    let info = makeInfo("a")
    for _ in 0..<200 {
      let delivery = try delivery(info, Array(#"{"a":1}"#))
      let frames = await withTaskGroup(of: SharedFrame.self) { group in
        for _ in 0..<4 {
          group.addTask { delivery.frame(.pulse, compressed: false, info, FrameEncoder()) }
        }
        return await group.reduce(into: [SharedFrame]()) { $0.append($1) }
      }
      #expect(frames.allSatisfy { $0 === frames[0] })
    }
  }

  @Test func whatIsNoPayloadIsRefused() {
    let info = makeInfo("a") { $0.conflate = makePath("s") }
    let rows: [([UInt8], String?, PublishProblem)] = [
      ([], nil, .notJSON), (Array("{"), nil, .notJSON), (Array("{} {}"), nil, .notJSON), (Array("01"), nil, .notJSON),
      (Array(#"{"a":tru}"#), nil, .notJSON), ([0x22, 0xFF, 0x22], nil, .notUTF8),
      (Array("{}"), String(repeating: "k", count: 257), .keyTooLong),
      (Array("{\"s\":\"\(String(repeating: "k", count: 257))\"}"), nil, .keyTooLong),
    ]
    for (payload, key, problem) in rows {
      guard case .failure(problem) = publication(info, payload, key: key) else {
        Issue.record("\(text(payload)) is no \(problem)")
        continue
      }
      #expect(!problem.sentence.isEmpty)
    }
  }

  @Test(arguments: [
    (#"{"s":"SOL"}"#, nil, "SOL"), (#"{"s":"\u0053\"L"}"#, nil, "S\"L"), (#"{"s":7.5}"#, nil, "7.5"), (#"{"s":true}"#, nil, "true"),
    (#"{"s":null}"#, nil, nil), (#"{"s":[1]}"#, nil, nil), (#"{"a":1}"#, nil, nil), (#"{"s":"SOL"}"#, "own", "own"),
    (#"{"s":"SOL"}"#, "", "SOL"), (#"{"s":""}"#, nil, nil),
  ])
  func theKeyIsGivenOrFound(_ payload: String, _ given: String?, _ expected: String?) throws {
    let info = makeInfo("a") { $0.conflate = makePath("s") }
    let made = try publication(info, Array(payload), key: given).get()
    let key = withExtendedLifetime(made) { made.key.map { text(Array($0)) } }
    #expect(key == expected)
  }
}
