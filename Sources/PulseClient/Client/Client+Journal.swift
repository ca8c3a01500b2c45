// SPDX-License-Identifier: Apache-2.0
import CPulseSys
import PulseEngine
import PulseFlow
import PulseProcess
import PulseText
import PulseTransport

/// A journal and its file, before a client has them.
struct OpenJournal {
  let file: JournalFile
  let journal: Journal

  static func open(_ path: String, size: Int) throws(TransportError) -> OpenJournal {
    let file = try JournalFile.open(path)
    var capacity = JournalFormat.capacity(ofFile: size)
    if file.size == 0 {
      var salt: UInt64 = 0
      withUnsafeMutableBytes(of: &salt) { bytes in
        if let start = bytes.baseAddress { psys_random(start, bytes.count) }
      }
      try file.begin(with: JournalFormat.firstPage(capacity: capacity, salt: salt))
    } else {
      let page = try file.read(JournalFormat.pageSize)
      switch page.withUnsafeBytes({ JournalFormat.inspect($0) }) {
      case .journal(let found): capacity = found
      case .foreign: throw file.problem("is not a journal; it is left as it is")
      case .otherVersion(let version):
        throw file.problem("has version \(Int(version)) of the format; allowed: \(Int(JournalFormat.version))")
      case .damaged: throw file.problem("is damaged in its first bytes; it is left as it is")
      }
    }
    let memory = try file.map(JournalFormat.pageSize + capacity)
    return OpenJournal(file: file, journal: Journal(memory, capacity: capacity, owner: file))
  }
}

extension Client {
  /// Before the client is known to anybody else.
  func take(_ opened: OpenJournal) {
    mutex.lock()
    defer { mutex.unlock() }
    journalFile = opened.file
    outbound.take(opened.journal, Moment(now: Clock.monotonic(), realtime: Clock.realtime()))
    first.announceLosses("")
    first.rescheduleFlow()
  }

  /// The application has what is numbered up to there.
  package func acknowledge(_ sequence: UInt64) { mutex.withLock { outbound.acknowledge(sequence) } }

  /// The next client may have it.
  func releaseJournal() {
    outbound.release()
    journalFile?.close()
    journalFile = nil
  }
}
