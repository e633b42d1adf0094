import java.io.DataInputStream;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.Serializable;
import java.nio.ByteBuffer;
import java.util.Collection;
import java.util.List;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.functions.FlatMapFunction;
import org.apache.flink.api.common.functions.MapFunction;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.connector.sink2.Sink;
import org.apache.flink.api.connector.sink2.SinkWriter;
import org.apache.flink.api.connector.sink2.StatefulSinkWriter;
import org.apache.flink.api.connector.sink2.SupportsWriterState;
import org.apache.flink.api.connector.sink2.WriterInitContext;
import org.apache.flink.api.connector.source.lib.NumberSequenceSource;
import org.apache.flink.api.java.tuple.Tuple2;
import org.apache.flink.core.io.SimpleVersionedSerializer;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.KeyedProcessFunction;
import org.apache.flink.util.Collector;

/** The two works as DataStream programs, with explicit types all through. */
final class Job {
    private Job() {}

    /** W1: record i is the line "w" + key(i); its words are counted. */
    static void wordCount(StreamExecutionEnvironment env, long records, long keys, boolean reuse) {
        TypeInformation<Tuple2<String, Long>> pair = Types.TUPLE(Types.STRING, Types.LONG);
        DataStream<String> lines = numbers(env, records).map(new Line(keys)).returns(Types.STRING);
        lines.flatMap(new Words(reuse)).returns(pair)
                .keyBy(word -> word.f0, Types.STRING)
                .process(new RunningSum<String>(reuse)).returns(pair)
                .sinkTo(new Totals<String>());
    }

    /** W2: record i is (key(i), i); the second is summed by the first. */
    static void keyedSum(StreamExecutionEnvironment env, long records, long keys, boolean reuse) {
        TypeInformation<Tuple2<Long, Long>> pair = Types.TUPLE(Types.LONG, Types.LONG);
        numbers(env, records).map(new Pair(keys, reuse)).returns(pair)
                .keyBy(record -> record.f0, Types.LONG)
                .process(new RunningSum<Long>(reuse)).returns(pair)
                .sinkTo(new Totals<Long>());
    }

    private static DataStream<Long> numbers(StreamExecutionEnvironment env, long records) {
        return env.fromSource(new NumberSequenceSource(0, records - 1), WatermarkStrategy.noWatermarks(), "numbers");
    }

    /** SplitMix64 of the record's number, seeded with 42, modulo the number of keys. */
    static long key(long i, long keys) {
        long z = i + 42 + 0x9E3779B97F4A7C15L;
        z = (z ^ z >>> 30) * 0xBF58476D1CE4E5B9L;
        z = (z ^ z >>> 27) * 0x94D049BB133111EBL;
        return Long.remainderUnsigned(z ^ z >>> 31, keys);
    }

    private static final class Line implements MapFunction<Long, String> {
        private final long keys;

        Line(long keys) {
            this.keys = keys;
        }

        @Override
        public String map(Long i) {
            return "w" + key(i, keys);
        }
    }

    private static final class Pair implements MapFunction<Long, Tuple2<Long, Long>> {
        private final long keys;
        private final Tuple2<Long, Long> reused;

        Pair(long keys, boolean reuse) {
            this.keys = keys;
            this.reused = reuse ? Tuple2.of(0L, 0L) : null;
        }

        @Override
        public Tuple2<Long, Long> map(Long i) {
            if (reused == null) return Tuple2.of(key(i, keys), i);
            reused.setFields(key(i, keys), i);
            return reused;
        }
    }

    private static final class Words implements FlatMapFunction<String, Tuple2<String, Long>> {
        private final Tuple2<String, Long> reused;

        Words(boolean reuse) {
            reused = reuse ? Tuple2.of("", 1L) : null;
        }

        @Override
        public void flatMap(String line, Collector<Tuple2<String, Long>> out) {
            int start = 0;
            for (int blank; (blank = line.indexOf(' ', start)) >= 0; start = blank + 1) {
                if (blank > start) emit(line.substring(start, blank), out);
            }
            // The last word, or the only one, which needs no copy.
            if (start < line.length()) emit(line.substring(start), out);
        }

        private void emit(String word, Collector<Tuple2<String, Long>> out) {
            if (reused == null) {
                out.collect(Tuple2.of(word, 1L));
            } else {
                reused.f0 = word;
                out.collect(reused);
            }
        }
    }

    /** Emits the new sum for every record. */
    private static final class RunningSum<K> extends KeyedProcessFunction<K, Tuple2<K, Long>, Tuple2<K, Long>> {
        private final boolean reuse;
        private transient Tuple2<K, Long> reused;
        private transient ValueState<Long> sum;
        private transient long processed;

        /** Whether this instance still has to fail, or to tell that it is back. */
        private transient boolean watching;

        RunningSum(boolean reuse) {
            this.reuse = reuse;
        }

        @Override
        public void open(OpenContext context) {
            sum = getRuntimeContext().getState(new ValueStateDescriptor<>("sum", Types.LONG));
            reused = reuse ? new Tuple2<>() : null;
            int subtask = getRuntimeContext().getTaskInfo().getIndexOfThisSubtask();
            watching = Board.failed.get() || Board.failAt > 0 && subtask == 0;
        }

        @Override
        public void processElement(Tuple2<K, Long> record, Context context, Collector<Tuple2<K, Long>> out)
                throws IOException {
            if (watching) watch();
            Long before = sum.value();
            Long after = before == null ? record.f1 : Long.valueOf(before + record.f1);
            sum.update(after);
            if (reused == null) {
                out.collect(Tuple2.of(record.f0, after));
            } else {
                reused.setFields(record.f0, after);
                out.collect(reused);
            }
        }

        private void watch() {
            if (Board.failed.get()) {
                Board.firstAfterNanos.compareAndSet(0, System.nanoTime());
                watching = false;
            } else if (++processed == Board.failAt) {
                Board.failed.set(true);
                Board.failedAtNanos = System.nanoTime();
                throw new IllegalStateException("the failure that was asked for");
            }
        }
    }

    /** Drops all records, but for their number and the sum of their second fields, which are in its checkpoints. */
    private static final class Totals<K>
            implements Sink<Tuple2<K, Long>>, SupportsWriterState<Tuple2<K, Long>, long[]> {
        @Override
        public SinkWriter<Tuple2<K, Long>> createWriter(WriterInitContext context) {
            return restoreWriter(context, List.of());
        }

        @Override
        public StatefulSinkWriter<Tuple2<K, Long>, long[]> restoreWriter(
                WriterInitContext context, Collection<long[]> restored) {
            return new Writer<>(context.getTaskInfo().getIndexOfThisSubtask(), restored);
        }

        @Override
        public SimpleVersionedSerializer<long[]> getWriterStateSerializer() {
            return new TotalsSerializer();
        }
    }

    private static final class Writer<K> implements StatefulSinkWriter<Tuple2<K, Long>, long[]> {
        private final int subtask;
        private long records;
        private long sum;

        Writer(int subtask, Collection<long[]> restored) {
            this.subtask = subtask;
            for (long[] totals : restored) {
                records += totals[0];
                sum += totals[1];
            }
            Board.show(subtask, records);
        }

        @Override
        public void write(Tuple2<K, Long> update, Context context) {
            sum += update.f1;
            Board.show(subtask, ++records);
        }

        @Override
        public void flush(boolean endOfInput) {
            if (endOfInput) Board.finish(subtask, records, sum);
        }

        @Override
        public List<long[]> snapshotState(long checkpoint) {
            return List.of(new long[] {records, sum});
        }

        @Override
        public void close() {}
    }

    private static final class TotalsSerializer implements SimpleVersionedSerializer<long[]>, Serializable {
        @Override
        public int getVersion() {
            return 1;
        }

        @Override
        public byte[] serialize(long[] totals) {
            return ByteBuffer.allocate(16).putLong(totals[0]).putLong(totals[1]).array();
        }

        @Override
        public long[] deserialize(int version, byte[] bytes) throws IOException {
            DataInputStream in = new DataInputStream(new ByteArrayInputStream(bytes));
            return new long[] {in.readLong(), in.readLong()};
        }
    }
}
