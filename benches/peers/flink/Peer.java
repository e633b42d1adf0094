import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.io.UncheckedIOException;
import java.nio.file.DirectoryNotEmptyException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.stream.Collectors;
import java.util.stream.LongStream;
import java.util.stream.Stream;
import org.apache.flink.api.common.JobID;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.runtime.checkpoint.AbstractCheckpointStats;
import org.apache.flink.runtime.checkpoint.CheckpointStatsSnapshot;
import org.apache.flink.runtime.checkpoint.CheckpointStatsStatus;
import org.apache.flink.runtime.jobmaster.JobResult;
import org.apache.flink.runtime.minicluster.MiniCluster;
import org.apache.flink.runtime.minicluster.MiniClusterConfiguration;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;

/**
 * Apache Flink, ready to run jobs one after the other: each line of standard input names a job as key=value words, each
 * line of standard output says as a JSON object what came of it. It ends with its input.
 */
public final class Peer {
    private final Path scratch;
    private final int slots;
    private final MiniCluster cluster;
    private int jobs;

    private Peer(Path scratch, int slots) throws Exception {
        this.scratch = scratch;
        this.slots = slots;
        delete(scratch);
        Files.createDirectories(scratch.resolve("tmp"));
        Configuration settings = new Configuration();
        Map.of(
                "rest.address", "localhost",
                "rest.bind-address", "localhost",
                "rest.bind-port", "0",
                "taskmanager.memory.network.min", "256m",
                "taskmanager.memory.network.max", "256m",
                "taskmanager.memory.managed.size", "64m",
                // As many as a run can have: the default remembers ten.
                "web.checkpoints.history", "100000",
                "io.tmp.dirs", scratch.resolve("tmp").toString()
        ).forEach(settings::setString);
        cluster = new MiniCluster(new MiniClusterConfiguration.Builder()
                .setConfiguration(settings)
                .setNumTaskManagers(1)
                .setNumSlotsPerTaskManager(slots)
                .build());
        cluster.start();
    }

    public static void main(String[] arguments) throws Exception {
        PrintStream answers = System.out;
        // Whoever else prints must not get between the answers.
        System.setOut(System.err);
        try {
            Peer peer = new Peer(Path.of(arguments[0]), Integer.parseInt(arguments[1]));
            BufferedReader commands = new BufferedReader(new InputStreamReader(System.in));
            for (String line; (line = commands.readLine()) != null; ) {
                answers.println(peer.run(new Command(line)));
                answers.flush();
            }
            peer.cluster.close();
            delete(peer.scratch);
            System.exit(0);
        } catch (Throwable error) {
            // The cluster's threads would keep the process alive, and the reader of the answers waiting.
            error.printStackTrace();
            System.exit(1);
        }
    }

    /** What a line asks for. */
    private static final class Command {
        private final Map<String, String> words = new HashMap<>();

        Command(String line) {
            for (String word : line.trim().split(" +")) {
                String[] pair = word.split("=", 2);
                words.put(pair[0], pair[1]);
            }
        }

        String text(String name) {
            String value = words.get(name);
            if (value == null) throw new IllegalArgumentException("the command names no " + name + ": " + words);
            return value;
        }

        long number(String name) {
            return Long.parseLong(text(name));
        }

        boolean flag(String name) {
            return Boolean.parseBoolean(text(name));
        }
    }

    private String run(Command command) throws Exception {
        long records = command.number("records");
        boolean fails = command.flag("fail");
        delete(checkpoints());
        jobs++;
        System.gc();
        Board.clear(fails ? records / 2 / slots : 0);
        JobID job = cluster.submitJob(graph(command)).get().getJobID();
        CompletableFuture<JobResult> result = cluster.requestJobResult(job);
        Window window = new Window(records, result);
        JobResult end = result.get();
        if (end.getSerializedThrowable().isPresent()) throw end.getSerializedThrowable().get();
        CheckpointStatsSnapshot checkpoints = cluster.getExecutionGraph(job).get().getCheckpointStatsSnapshot();
        return answer(window, checkpoints, fails);
    }

    private org.apache.flink.runtime.jobgraph.JobGraph graph(Command command) {
        Configuration settings = new Configuration();
        settings.setString("state.backend.type", "hashmap");
        long interval = command.number("interval_ms");
        if (interval > 0) {
            settings.setString("execution.checkpointing.interval", interval + " ms");
            settings.setString("execution.checkpointing.mode", "EXACTLY_ONCE");
            settings.setString("execution.checkpointing.storage", "filesystem");
            settings.setString("execution.checkpointing.dir", checkpoints().toUri().toString());
            settings.setString("execution.checkpointing.snapshot-compression", command.text("compress"));
        }
        boolean fails = command.flag("fail");
        settings.setString("restart-strategy.type", fails ? "fixed-delay" : "none");
        if (fails) {
            settings.setString("restart-strategy.fixed-delay.attempts", "1");
            settings.setString("restart-strategy.fixed-delay.delay", "0 ms");
        }
        StreamExecutionEnvironment env = StreamExecutionEnvironment.getExecutionEnvironment(settings);
        env.setParallelism(slots);
        boolean reuse = command.flag("reuse");
        if (reuse) env.getConfig().enableObjectReuse();
        if (command.text("work").equals("W1")) {
            Job.wordCount(env, command.number("records"), command.number("keys"), reuse);
        } else {
            Job.keyedSum(env, command.number("records"), command.number("keys"), reuse);
        }
        return env.getStreamGraph().getJobGraph();
    }

    /** The steady part of a run: from a quarter of the records to the last one. */
    private static final class Window {
        private long beganMillis;
        private long records;
        private double seconds;
        private double cpuSeconds;
        private double foreignCores;

        /** Watches a job that has been started. */
        Window(long all, CompletableFuture<?> end) throws Exception {
            long first = await(all / 4, end);
            beganMillis = System.currentTimeMillis();
            long began = System.nanoTime();
            double cpu = Machine.cpuSeconds();
            double busy = Machine.busySeconds();
            records = await(all, end) - first;
            seconds = (System.nanoTime() - began) / 1e9;
            cpuSeconds = Machine.cpuSeconds() - cpu;
            foreignCores = Math.max(0, Machine.busySeconds() - busy - cpuSeconds) / seconds;
        }

        private static long await(long records, CompletableFuture<?> end) throws InterruptedException {
            while (true) {
                long seen = Board.total();
                if (seen >= records || end.isDone()) return seen;
                Thread.sleep(1);
            }
        }
    }

    private static String answer(Window window, CheckpointStatsSnapshot checkpoints, boolean fails) throws IOException {
        long completed = checkpoints == null ? 0 : checkpoints.getCounts().getNumberOfCompletedCheckpoints();
        List<AbstractCheckpointStats> steady = checkpoints == null
                ? List.of()
                : checkpoints.getHistory().getCheckpoints().stream()
                        .filter(c -> c.getStatus() == CheckpointStatsStatus.COMPLETED)
                        .filter(c -> c.getTriggerTimestamp() >= window.beganMillis)
                        .collect(Collectors.toList());
        long[] totals = Board.totals();
        String recovery = "null";
        if (fails) {
            double millis = (Board.firstAfterNanos.get() - Board.failedAtNanos) / 1e6;
            boolean restored = checkpoints != null && checkpoints.getCounts().getNumberOfRestoredCheckpoints() > 0;
            recovery = String.format(Locale.ROOT, "{\"from_failure_ms\":%.3f,\"restored\":%b}", millis, restored);
        }
        return String.format(
                Locale.ROOT,
                "{\"window\":{\"records\":%d,\"seconds\":%.6f,\"cpu_seconds\":%.6f,\"foreign_cores\":%.4f},"
                        + "\"totals\":{\"records\":%d,\"sum\":%s},\"peak_resident\":%d,"
                        + "\"checkpoints\":{\"completed\":%d,\"duration_ms\":%s,\"bytes\":%s},\"recovery\":%s}",
                window.records, window.seconds, window.cpuSeconds, window.foreignCores,
                totals[0], Long.toUnsignedString(totals[1]), Machine.peakResident(),
                completed,
                list(steady.stream().mapToLong(AbstractCheckpointStats::getEndToEndDuration)),
                list(steady.stream().mapToLong(AbstractCheckpointStats::getCheckpointedSize)),
                recovery);
    }

    private static String list(LongStream numbers) {
        return numbers.mapToObj(Long::toString).collect(Collectors.joining(",", "[", "]"));
    }

    /** Of the newest job. Each has a directory of its own: those before it may still delete some files. */
    private Path checkpoints() {
        return scratch.resolve("checkpoints-" + jobs);
    }

    private static void delete(Path tree) throws IOException {
        if (!Files.exists(tree)) return;
        try (Stream<Path> paths = Files.walk(tree)) {
            for (Path path : (Iterable<Path>) paths.sorted(Comparator.reverseOrder())::iterator) {
                Files.deleteIfExists(path);
            }
        } catch (UncheckedIOException | DirectoryNotEmptyException | NoSuchFileException e) {
            // Somebody is at work there; the next start of this program removes the rest.
        }
    }
}
