"""The public names and their homes: `lazy_loader` reads this file, and so do type checkers."""

from .augmentation import Augmentation as Augmentation
from .collection import Features as Features
from .collection import embed as embed
from .collection import farthest_first as farthest_first
from .collection import find_duplicates as find_duplicates
from .collection import find_encoder as find_encoder
from .collection import find_source as find_source
from .collection import outliers as outliers
from .collection import predict_labels as predict_labels
from .config import Run as Run
from .data import load as load
from .data import views as views
from .errors import InputError as InputError
from .errors import TrainingDiverged as TrainingDiverged
from .evaluation import Encoder as Encoder
from .evaluation import knn_accuracy as knn_accuracy
from .evaluation import linear_accuracy as linear_accuracy
from .export import export_encoder as export_encoder
from .export import load_encoder as load_encoder
from .models.barlow_twins import BarlowTwins as BarlowTwins
from .models.base import JointEmbedding as JointEmbedding
from .models.byol import BYOL as BYOL
from .models.heads import no_predictor as no_predictor
from .models.heads import predictor as predictor
from .models.heads import projector as projector
from .models.moco import MoCo as MoCo
from .models.pytorch import export_pytorch as export_pytorch
from .models.pytorch import load_pytorch_weights as load_pytorch_weights
from .models.resnet import resnet18 as resnet18
from .models.resnet import resnet34 as resnet34
from .models.resnet import resnet50 as resnet50
from .models.simclr import SimCLR as SimCLR
from .models.simsiam import SimSiam as SimSiam
from .models.swav import SwAV as SwAV
from .models.vicreg import VICReg as VICReg
from .optimizers import LARS as LARS
from .optimizers import SGD as SGD
from .optimizers import paper_optimizers as paper_optimizers
from .preprocessing import Preprocessing as Preprocessing
from .presets import preset as preset
from .training.collapse import CollapseMonitor as CollapseMonitor
from .training.monitors import KNNMonitor as KNNMonitor
from .tuning.hypermodel import SimSiamHyperModel as SimSiamHyperModel
from .view_rules import SmallViews as SmallViews

__version__: str
