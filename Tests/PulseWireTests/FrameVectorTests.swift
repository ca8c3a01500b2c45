// SPDX-License-Identifier: Apache-2.0
import PulseWire
import Testing

/// Runs Tests/Vectors/frames.txt: every vector whole, byte by byte, at every split, and with bytes behind it.
struct FrameVectorTests {
  let vectors: [FrameVector]

  init() throws { vectors = try FrameVector.load() }

  private func check(_ chunks: [[UInt8]], _ vector: FrameVector, _ role: Role, _ expected: [SeenEvent], _ way: String) {
    let seen = WireConnection(configuration: vector.configuration(role)).events(chunks: chunks)
    #expect(seen == expected, "\(vector.name), to the \(role), \(way)")
  }

  @Test func fileIsRead() {
    #expect(vectors.count > 150)
    #expect(Set(vectors.map(\.name)).count == vectors.count)
  }

  @Test func whole() {
    for vector in vectors {
      for role in vector.roles { check([vector.bytes(to: role)], vector, role, vector.expected, "whole") }
    }
  }

  @Test func byteByByte() {
    for vector in vectors {
      for role in vector.roles {
        check(vector.bytes(to: role).map { [$0] }, vector, role, vector.expected, "byte by byte")
      }
    }
  }

  @Test func atEverySplit() {
    for vector in vectors {
      for role in vector.roles {
        let bytes = vector.bytes(to: role)
        let splits = bytes.count <= 1200 ? Array(0...bytes.count) : [1, 2, 3, 9, 10, 11, 14, 15, 1000, bytes.count - 1]
        for split in splits {
          check([Array(bytes[..<split]), Array(bytes[split...])], vector, role, vector.expected, "split at \(split)")
        }
      }
    }
  }

  @Test func inThreeParts() {
    for vector in vectors {
      for role in vector.roles {
        let bytes = vector.bytes(to: role)
        guard bytes.count <= 40 else { continue }
        for first in 0...bytes.count {
          for second in first...bytes.count {
            let parts = [Array(bytes[..<first]), Array(bytes[first..<second]), Array(bytes[second...])]
            check(parts, vector, role, vector.expected, "split at \(first) and \(second)")
          }
        }
      }
    }
  }

  /// After a failure and after a close nothing more is read; else the next frame is.
  @Test func withBytesBehind() {
    for vector in vectors where !vector.isPartial {
      for role in vector.roles {
        let ping: [UInt8] = role == .client ? [0x89, 0x01, 0x70] : [0x89, 0x81, 1, 2, 3, 4, 0x71]
        var expected = vector.expected
        switch expected.last {
        case .failure, .close: break
        default: expected.append(.ping([0x70]))
        }
        let bytes = vector.bytes(to: role)
        check([bytes + ping], vector, role, expected, "with a ping behind")
        check([bytes, ping], vector, role, expected, "with a ping in the next chunk")
        check((bytes + ping).map { [$0] }, vector, role, expected, "with a ping behind, byte by byte")
      }
    }
  }

  /// A vector ends with the byte that shows the fault: without that byte the receiver must still be content.
  @Test func faultIsNotSeenTooEarly() {
    for vector in vectors {
      guard case .failure(let kind) = vector.expected.last, kind == .protocolError else { continue }
      for role in vector.roles {
        let bytes = vector.bytes(to: role).dropLast()
        let seen = WireConnection(configuration: vector.configuration(role)).events(Array(bytes))
        #expect(seen == vector.expected.dropLast(), "\(vector.name), to the \(role), without its last byte")
      }
    }
  }

  @Test func failureIsSticky() {
    for vector in vectors {
      guard case .failure(let kind) = vector.expected.last else { continue }
      for role in vector.roles {
        let connection = WireConnection(configuration: vector.configuration(role))
        _ = connection.events(vector.bytes(to: role))
        #expect(connection.failure?.kind == kind)
        #expect(connection.events([0x81, 0x00]) == [.failure(kind)])
        #expect(connection.events([]) == [.failure(kind)])
        #expect(connection.bufferedCapacity == 0)
      }
    }
  }
}
